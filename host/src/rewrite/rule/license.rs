//! The license of the programs.

use super::super::{Output, Probe};
use super::Rule;

/// The row.
pub(super) struct License;

impl Rule for License {
    fn name(&self) -> &'static str {
        "license"
    }

    fn documentation(&self) -> &'static str {
        "A probe that declares no license in the section `license` gets one, because most helpers demand it: what \
         `#define BPF_LICENSE …` says, or GPL, as in BCC."
    }

    fn example(&self) -> &'static str {
        "#define BPF_LICENSE Dual MIT/GPL\n\
         int kprobe__vfs_read(struct pt_regs *ctx) { return 0; }\n"
    }

    fn apply(&self, probe: &Probe<'_, '_>, output: &mut Output) {
        let declared =
            probe.tree.decls.iter().any(|decl| decl.annotations.iter().any(|text| text == "dbcc:sec:license"));
        if declared {
            return;
        }
        output.behind.push_str(
            "#ifdef BPF_LICENSE\n\
             char _license[] SEC(\"license\") = DBCC_STRING(BPF_LICENSE);\n\
             #else\n\
             char _license[] SEC(\"license\") = \"GPL\";\n\
             #endif\n",
        );
    }
}
