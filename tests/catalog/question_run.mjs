// Reads questions with the site's script: node question_run.mjs GRAMMAR SCRIPT < {"words": …, "questions": […]}
import { readFileSync } from "node:fs";

const [grammarFile, scriptFile] = process.argv.slice(2);
const script = readFileSync(scriptFile, "utf-8");
const { readQuestion, makeGrammar } = new Function(`${script}\nreturn { readQuestion, makeGrammar };`)();
const { words, questions } = JSON.parse(readFileSync(0, "utf-8"));
const grammar = makeGrammar(JSON.parse(readFileSync(grammarFile, "utf-8")));
const known = { ...words, owners: new Set(words.owners), holds: (text) => words.repos.some((repo) => repo.includes(text)) };
const answers = questions.map((question) => {
  try {
    return { read: readQuestion(question, known, grammar) };
  } catch (error) {
    return { refused: error.message };
  }
});
process.stdout.write(JSON.stringify(answers));
