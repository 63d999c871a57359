//! GNU parallel on this machine; with its `--sshlogin` on others that see the store.

use super::Submission;

/// The script that starts it: `--halt never`, because a task that fails leaves its runs to the others.
pub fn script(submission: &Submission) -> String {
    let (guard, command, tasks) = (submission.guard(), submission.command(), submission.tasks);
    let log = super::quote(&format!("{}/{}.joblog", submission.store.display(), submission.name()));
    let (last, jobs) = (tasks.saturating_sub(1), submission.at_once.unwrap_or(tasks));
    format!(
        "#!/bin/bash\n{guard}\n# parallel expands braces in what it is given, so that it is given none.\n\
         export zoo_command={} PARALLEL_SHELL=\"$BASH\"\n\
         seq 0 {last} | parallel --env zoo_command --jobs {jobs} --halt never --termseq TERM,60000,KILL --joblog {log} \
         --line-buffer 'eval \"exec $zoo_command\" # {{}}'\n",
        super::quote(&command)
    )
}
