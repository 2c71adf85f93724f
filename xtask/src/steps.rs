//! A list of steps with their times, and the summary that closes a task.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::tools::say;

enum Outcome {
    Passed,
    Failed(String),
    /// Could not be done here, with the reason; said, never silent.
    NotAvailable(String),
}

/// What has been run so far.
pub(crate) struct Steps {
    done: Vec<(String, Outcome, Duration)>,
    say: fn(&str),
}

impl Default for Steps {
    fn default() -> Self {
        Self { done: Vec::new(), say }
    }
}

/// A step that cannot be done on this machine.
#[derive(Debug)]
pub(crate) struct NotAvailable(pub(crate) String);

impl Steps {
    /// Runs a step, unless an earlier one failed.
    pub(crate) fn step(&mut self, name: &str, run: impl FnOnce() -> Result<()>) {
        self.optional(name, || run().map(Ok));
    }

    /// Runs a step that may find itself impossible here.
    pub(crate) fn optional(&mut self, name: &str, run: impl FnOnce() -> Result<Result<(), NotAvailable>>) {
        if self.failed() > 0 {
            return;
        }
        (self.say)(&format!("\n==> {name}"));
        let begin = Instant::now();
        let outcome = match run() {
            Ok(Ok(())) => Outcome::Passed,
            Ok(Err(NotAvailable(why))) => Outcome::NotAvailable(why),
            Err(error) => Outcome::Failed(format!("{error:#}")),
        };
        self.done.push((name.to_owned(), outcome, begin.elapsed()));
    }

    fn failed(&self) -> usize {
        self.done.iter().filter(|(_, outcome, _)| matches!(outcome, Outcome::Failed(_))).count()
    }

    fn summary(&self, task: &str) -> String {
        let mut text = format!("\n{task}:\n");
        for (name, outcome, time) in &self.done {
            let (word, why) = match outcome {
                Outcome::Passed => ("ok", String::new()),
                Outcome::Failed(why) => ("FAILED", format!(": {why}")),
                Outcome::NotAvailable(why) => ("not available", format!(": {why}")),
            };
            text.push_str(&format!("  {:>7.1} s  {name}: {word}{why}\n", time.as_secs_f64()));
        }
        let failed = self.failed();
        let passed = self.done.iter().filter(|(_, outcome, _)| matches!(outcome, Outcome::Passed)).count();
        let missing = self.done.len() - passed - failed;
        text.push_str(&format!("{task}: {passed} passed, {failed} failed, {missing} not available"));
        text
    }

    /// Prints what was run, with times, and fails if a step did.
    pub(crate) fn finish(self, task: &str) -> Result<()> {
        (self.say)(&self.summary(task));
        if self.failed() > 0 {
            bail!("{task} stopped at the first failure, see above");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn the_first_failure_stops_and_is_counted() {
        // A failure in a log of tests would be taken for one.
        let mut steps = Steps { say: |_| (), ..Steps::default() };
        steps.step("one", || Ok(()));
        steps.optional("two", || Ok(Err(NotAvailable("no network".to_owned()))));
        steps.step("three", || Err(anyhow!("broken")));
        steps.step("four", || Ok(()));
        let summary = steps.summary("ci");
        assert!(summary.contains("two: not available: no network"), "{summary}");
        assert!(summary.contains("three: FAILED: broken") && !summary.contains("four"), "{summary}");
        assert!(summary.ends_with("ci: 1 passed, 1 failed, 1 not available"), "{summary}");
        assert!(steps.finish("ci").is_err());
    }
}
