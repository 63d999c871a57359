//! A Slurm job array: every task works on the store; the batch shell is told before the time is up, hands that on, and
//! queues the task again when runs were saved.

use super::Submission;

/// Seconds before the end of its time at which a task is told to save.
const WARNING: u32 = 120;

/// The batch script.
pub fn script(submission: &Submission) -> String {
    let Submission { tasks, cores, gpus, time, store, .. } = submission;
    let name = submission.name();
    let at_once = submission.at_once.map_or_else(String::new, |at_once| format!("%{at_once}"));
    let last = tasks.saturating_sub(1);
    let mut head = format!("#!/bin/bash\n#SBATCH --job-name={name}\n#SBATCH --array=0-{last}{at_once}\n");
    // GPUs per task are refused where the number of tasks is not said.
    head += "#SBATCH --nodes=1\n#SBATCH --ntasks=1\n";
    head += &format!("#SBATCH --mem={}M\n", submission.memory.div_ceil(1 << 20));
    head +=
        &format!("#SBATCH --cpus-per-task={cores}\n#SBATCH --signal=B:TERM@{WARNING}\n#SBATCH --requeue\n");
    // Slurm expands % in names of files, and ends what is quoted at a quote.
    let folder = store.display().to_string().replace('%', "%%").replace('"', "\\\"");
    head += &format!("#SBATCH --open-mode=append\n#SBATCH --output=\"{folder}/%x-%A_%a.log\"\n");
    if *gpus > 0 {
        head += &format!("#SBATCH --gpus-per-task={gpus}\n");
    }
    if let Some(time) = time {
        head += &format!("#SBATCH --time={time}\n");
    }
    head.extend(submission.options.iter().map(|option| format!("#SBATCH {option}\n")));
    let (guard, command) = (submission.guard(), submission.command());
    let again = super::quote(&store.join(format!("{name}.sh")).display().to_string());
    format!(
        r#"{head}
{guard}
{command} &
worker=$!
trap 'kill -TERM $worker 2>/dev/null' TERM
wait $worker
code=$?
# A wait that a signal cut short has not seen the end of the worker.
while kill -0 $worker 2>/dev/null; do
    wait $worker
    code=$?
done
if [ $code -eq 75 ]; then
    # Where queuing again is forbidden, the task is submitted anew.
    scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}" || sbatch --array="${{SLURM_ARRAY_TASK_ID}}" {again}
fi
exit $code
"#
    )
}

/// Whether Slurm reads it as a time: `M`, `M:S`, `H:M:S`, `D-H`, `D-H:M`, `D-H:M:S`, or a word for no limit.
pub fn is_time(text: &str) -> bool {
    let is_number =
        |part: &str| (1..=9).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    let (days, rest) = text.split_once('-').map_or((None, text), |(days, rest)| (Some(days), rest));
    let is_clock = rest.split(':').count() <= 3 && rest.split(':').all(is_number);
    matches!(text, "UNLIMITED" | "INFINITE") || (days.is_none_or(is_number) && is_clock)
}
