//! What was measured, and what it may come to.

use crate::say;

/// Prints each figure as it comes, and keeps what is over its budget.
#[derive(Default)]
pub struct Table {
    over: Vec<String>,
}

impl Table {
    /// A figure that may come to this at most.
    pub fn at_most(&mut self, what: &str, figure: f64, most: f64, unit: &str) {
        say(&format!("    {what:<52} {figure:>8.2} {unit:<3} of {most} at most"));
        if figure > most {
            self.over
                .push(format!("{what}: {figure:.2} {unit}, over its budget of {most} {unit}"));
        }
    }

    /// Everything that is over its budget.
    pub fn over_budget(self) -> Vec<String> {
        self.over
    }
}

/// A figure without a budget.
pub fn measured(what: &str, figure: f64, unit: &str) {
    say(&format!("    {what:<52} {figure:>8.2} {unit}"));
}
