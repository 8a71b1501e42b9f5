# Sourced by the batch files, which run in the folder that holds slurm/ and jobs/. Gives them `run_stage`.
# Every batch file gets the run's folder and the name that its requeues are counted under.
RUN_FOLDER=${1:?these files are submitted by: auditor submit}
JOB_KEY=${2:?}.${SLURM_ARRAY_TASK_ID:-0}
source slurm/cluster.env
# The settings as they were when the run was submitted.
export AUDITOR_CONFIG="$RUN_FOLDER/auditor.toml"

# run_stage SCRIPT ARGUMENT...: runs one stage to its end, so that signals reach it, and acts on its exit code.
run_stage() {
    local worker='' warned='' code=0
    # The batch shell alone hears Slurm's warning; it passes it on and keeps waiting, because a shell that dies here
    # would take the worker with it in the middle of an item.
    trap 'warned=USR2; [ -z "$worker" ] || kill -USR2 "$worker" 2>/dev/null || true' USR2
    trap 'warned=TERM; [ -z "$worker" ] || kill -TERM "$worker" 2>/dev/null || true' TERM
    # shellcheck disable=SC2086  # CONTAINER is several words, or none
    $CONTAINER "$PYTHON_BIN" "$@" &
    worker=$!
    [ -z "$warned" ] || kill "-$warned" "$worker" 2>/dev/null || true
    while kill -0 "$worker" 2>/dev/null; do
        wait "$worker" || true
    done
    wait "$worker" || code=$?
    trap '' USR2 TERM

    case $code in
        0 | 4) trap - USR2 TERM; return 0 ;;  # 4: single items failed, which is recorded and no reason to fail the job
        75) put_back "asked to be run again" ;;
        129 | 1[3-9][0-9]) put_back "was killed by signal $((code - 128))" ;;
        *) exit "$code" ;;
    esac
}

# How Slurm calls this job. One task of an array has the number of the whole array, so that number alone will not do.
if [ -n "${SLURM_ARRAY_JOB_ID:-}" ]; then
    THIS_JOB=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
else
    THIS_JOB=$SLURM_JOB_ID
fi

# Puts this job back in the queue, unless it was there too often or is on its way out: a job that was cancelled stays
# cancelled, and one that is preempted is put back by Slurm.
put_back() {
    local state
    state=$(scontrol show job --oneliner "$THIS_JOB" 2>/dev/null | grep -o ' JobState=[A-Z_]*' || true)
    if [ -n "$state" ] && [ "$state" != " JobState=RUNNING" ]; then
        echo "the stage $1; not put back, because the job is ending (${state# })" >&2
        exit 1
    fi
    if ! $CONTAINER "$PYTHON_BIN" jobs/requeue.py "$JOB_KEY"; then
        # Not 75: a site may requeue that by itself, for ever.
        echo "the stage $1 too often; the next run goes on" >&2
        exit 1
    fi
    echo "the stage $1; back in the queue" >&2
    trap - USR2 TERM
    scontrol requeue "$THIS_JOB"
    # Slurm ends this shell now. If it could not be asked, the job has failed.
    sleep 60
    exit 1
}
