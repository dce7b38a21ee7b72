//! Of which maps only the top entries are printed.

use crate::diag::Diagnostic;
use crate::directive;
use crate::session::{Table, Top};

/// Sets what directives say. The error is a message on the directive that cannot be followed.
pub(super) fn set(tables: &mut [Table], tops: &[directive::Top]) -> Result<(), Diagnostic> {
    for asked in tops {
        let directive::Top { map, most, by, span } = asked;
        let wrong = |message: String, help: String| Err(Diagnostic::error(message, *span).help(help));
        let names: Vec<String> = tables.iter().map(|table| table.name.clone()).collect();
        let Some(table) = tables.iter_mut().find(|table| table.name == *map) else {
            let help = format!("the maps that are printed are {}", names.join(", "));
            return wrong(format!("no map `{map}` is printed"), help);
        };
        if table.histogram.is_some() && table.columns.is_none() {
            let help = "a histogram is printed whole; `//@ print` with columns makes it a table".to_owned();
            return wrong(format!("`{map}` is a histogram, which has no top entries"), help);
        }
        let top = Top::new(*most, by, &table.key, &table.value);
        let Some(top) = top else {
            let help = "name a field that is a number, such as `by value.bytes`".to_owned();
            return wrong(format!("`{}` of map `{map}` is no number", by.join(".")), help);
        };
        table.top = Some(top);
    }
    Ok(())
}
