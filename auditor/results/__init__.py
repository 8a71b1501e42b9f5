"""What an audit leaves on disk: result files, kept pictures, failure records, and where they lie."""
