//! Targets in the kernel that a pattern stands for.

use super::{Miss, Resolver, check_count};
use crate::kernel::names;
use crate::kind::{NamePattern, Target};

impl Resolver<'_> {
    pub(super) fn kernel_functions(&mut self, pattern: &NamePattern) -> Result<Target, Miss> {
        let matcher = pattern.matcher().map_err(Miss::new)?;
        let found = names::functions(self.kernel, &|name| matcher.fits(name)).map_err(Miss::new)?;
        let text = pattern.as_str();
        check_count(text, found.names.len(), self.most, "functions of the kernel that can be probed")?;
        if found.left_out > 0 {
            self.notes.push(format!(
                "`{text}`: {} functions; {} more fit and are left out: the kernel does not trace them, or several have the name",
                found.names.len(),
                found.left_out
            ));
        }
        Ok(Target::KernelFunctions { pattern: text.to_owned(), names: found.names })
    }

    pub(super) fn tracepoints(&mut self, category: &NamePattern, name: &NamePattern) -> Result<Vec<Target>, Miss> {
        let (categories, events) = (category.matcher().map_err(Miss::new)?, name.matcher().map_err(Miss::new)?);
        let found = names::tracepoints(self.kernel, &|category, name| categories.fits(category) && events.fits(name));
        let found = found.map_err(Miss::new)?;
        let text = format!("{}:{}", category.as_str(), name.as_str());
        check_count(&text, found.len(), self.most, "tracepoints")?;
        self.notes.push(format!("`{text}`: {} tracepoints", found.len()));
        Ok(found.into_iter().map(|(category, name)| Target::Tracepoint { category, name }).collect())
    }
}
