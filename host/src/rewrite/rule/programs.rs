//! Functions that become programs, with their arguments bound from the context.

use std::collections::BTreeSet;

use crate::clang::TypeKind;
use crate::diag::Diagnostic;
use crate::facts::{Form, ProgramFact};
use crate::kind::{self, Context, Kind};
use crate::lex::{Lexed, TokenKind};
use crate::source::Span;

use super::super::program::{self, Role, Use};
use super::super::tree::{Function, FunctionId, NodeKind};
use super::super::{Output, Probe, reads, slice, usdt};
use super::{Refusal, Rule};

/// How many arguments are handed over in registers that `PT_REGS_PARMn` names.
const MAX_BOUND: usize = 6;

/// How many arguments are handed over by number, a return value behind them included.
const MAX_BY_NUMBER: usize = 13;

/// The row.
pub(super) struct Programs;

impl Rule for Programs {
    fn name(&self) -> &'static str {
        "programs"
    }

    fn documentation(&self) -> &'static str {
        "A function that a directive, the command line or its name (`kprobe__tcp_sendmsg`) attaches becomes a program; the \
         parameters behind its context are bound to the arguments of the probed function. Where none of these tells, the \
         type of the context does (`struct xdp_md *`). For a kprobe or kretprobe the \
         object holds an fentry or fexit program too, for which `PT_REGS_RC`, `PT_REGS_PARMn` and bound arguments mean \
         the same, unless the function uses its context for more. `SEC(\"…\")` is left as it is."
    }

    fn example(&self) -> &'static str {
        "int kprobe__tcp_cleanup_rbuf(struct pt_regs *ctx, struct sock *sk, int copied) { return sk && copied > 0; }\n\
         int kretprobe__tcp_sendmsg(struct pt_regs *ctx) { return (int)PT_REGS_RC(ctx) > 0; }\n\
         int kprobe__vfs_read(struct pt_regs *ctx) { return PT_REGS_IP(ctx) != 0; }\n"
    }

    fn apply(&self, probe: &Probe<'_, '_>, output: &mut Output) {
        // Functions that are handed the real context beside the registers that stand for it.
        let mut threaded = BTreeSet::new();
        for (id, function) in probe.tree.functions() {
            match probe.roles.of(id) {
                Role::Programs(uses) => {
                    let needs = Needs::of(probe, id, uses);
                    if needs.real_context {
                        threaded.insert(id);
                        threaded.extend(probe.contexts.that_need_it(id));
                    }
                    Writer { probe, output, function, id }.programs(uses, &needs);
                }
                Role::Section(section) => output.programs.extend(section_fact(probe, id, function, section)),
                Role::Helper | Role::Unattached => {}
            }
        }
        for id in &threaded {
            if let Err(refusal) = thread(probe, output, *id) {
                output.refuse(refusal);
            }
        }
        calls(probe, output, &threaded);
    }
}

/// Gives a function the real context as its first parameter, and hands that on where any context will do.
fn thread(probe: &Probe<'_, '_>, output: &mut Output, id: FunctionId) -> Result<(), Refusal> {
    let Some(function) = probe.tree.function(id) else { return Ok(()) };
    let refusal = |span| Refusal::InMacro(span, "the list of a function's parameters");
    for (span, name) in declarations(function) {
        let name = name.ok_or(refusal(span))?;
        let (at, is_empty) = parameter_list(probe.text, Span::new(name.end, span.end)).ok_or(refusal(span))?;
        match is_empty {
            true => output.edits.replace(at, span, "void *dbcc_ctx"),
            false => output.edits.replace(Span::new(at.start, at.start), span, "void *dbcc_ctx, "),
        }
    }
    for place in probe.contexts.passed(id) {
        output.edits.replace(*place, *place, "dbcc_ctx");
    }
    Ok(())
}

/// All declarations of a function: where each stands as a whole, and its name.
fn declarations(function: &Function<'_>) -> impl Iterator<Item = (Span, Option<Span>)> {
    std::iter::once((function.span, function.name_span)).chain(function.prototypes.iter().copied())
}

/// What is promised of a program in libbpf's style.
fn section_fact(probe: &Probe<'_, '_>, id: FunctionId, function: &Function<'_>, section: &str) -> Option<ProgramFact> {
    // A function in a section of code that is no program: `SEC(".text")`.
    if section.starts_with('.') {
        return None;
    }
    let (kind, target) = program::of_section(section);
    let reads = reads::of(probe, id, kind);
    let kind = kind.map(Kind::name).unwrap_or_default().to_owned();
    let form = Form { kind: kind.clone(), program: function.name.clone(), arguments: None };
    Some(ProgramFact {
        function: function.name.clone(),
        span: function.name_span.unwrap_or(function.span),
        kind,
        target,
        forms: vec![form],
        registers_because: None,
        reads,
    })
}

struct Writer<'w, 'p, 'u> {
    probe: &'w Probe<'p, 'u>,
    output: &'w mut Output,
    function: &'w Function<'u>,
    id: FunctionId,
}

impl Writer<'_, '_, '_> {
    fn programs(mut self, uses: &[Use], needs: &Needs) {
        let name_span = self.function.name_span.unwrap_or(self.function.span);
        if self.function.is_static {
            let name = &self.function.name;
            self.output.messages.push(
                Diagnostic::error(format!("`{name}` is `static` and cannot be attached"), name_span)
                    .help("remove `static`"),
            );
            return;
        }
        if !self.parameters_can_be_bound(uses) {
            return;
        }
        self.return_at_the_end();
        if needs.body {
            if let Err(refusal) = self.make_body() {
                self.output.refuse(refusal);
                return;
            }
        } else if let Some(only) = uses.first() {
            let text = format!("SEC(\"{}\") ", section(only.kind, &only.targets));
            self.output.edits.open(self.function.span, text);
        }
        for program in uses.iter().filter(|program| program.by_context && program.targets.is_empty()) {
            self.output.messages.push(not_attached(&self.function.name, program.kind, name_span));
        }
        for (number, program) in uses.iter().enumerate() {
            let fact = self.program(program, needs, number);
            self.output.programs.push(fact);
        }
    }

    /// Checks the parameters behind the context; says what is wrong with them.
    fn parameters_can_be_bound(&mut self, uses: &[Use]) -> bool {
        let tree = self.probe.tree;
        let bound = self.function.parameters.get(1..).unwrap_or_default();
        let most = uses.iter().map(|program| program.kind.most_arguments()).min().unwrap_or(MAX_BOUND);
        let mut good = true;
        for (number, parameter) in bound.iter().enumerate() {
            let Some(decl) = tree.decl(*parameter) else { continue };
            let span = decl.span.unwrap_or(self.function.span);
            let binds = uses.iter().all(|program| program.kind.context().binds());
            // Those that come by number are in memory; the kernel hands over as many (MAX_BPF_FUNC_ARGS of
            // include/linux/bpf.h), and a return value.
            let by_number = uses
                .iter()
                .all(|program| matches!(program.kind.context(), Context::Arguments { .. } | Context::RawArguments));
            let most = if by_number { MAX_BY_NUMBER } else { most };
            let error = if !binds {
                let kind = uses.first().map_or("program", |program| program.kind.name());
                Diagnostic::error(format!("a {kind} has no arguments that `{}` could be bound to", decl.name), span)
                    .help("take its context alone")
            } else if number >= most && uses.iter().any(|program| program.kind.name() == usdt::KIND) {
                Diagnostic::error(format!("a USDT probe has at most {most} arguments"), span)
            } else if number >= most {
                let where_they_are = if by_number { "handed over" } else { "in registers" };
                Diagnostic::error(format!("only the first {most} arguments are {where_they_are}"), span)
                    .help("read the others from the stack of the probed function")
            } else if !matches!(decl.ty.kind(), TypeKind::Integer | TypeKind::Pointer) {
                Diagnostic::error(
                    format!("`{}` is no integer and no pointer, so it is in no register", decl.name),
                    span,
                )
            } else {
                continue;
            };
            self.output.messages.push(error);
            good = false;
        }
        let returns = uses.iter().any(|program| {
            matches!(program.kind.context(), Context::Registers { returns: true, .. })
                && program.kind.better().is_none()
        });
        if let (true, Some(first)) = (returns && good, bound.first()) {
            let span = tree.decl(*first).and_then(|decl| decl.span);
            self.output.messages.push(
                Diagnostic::warning(
                    "on return from a function its arguments are gone: this one is not what was passed",
                    span,
                )
                .help("keep it in a map on entry, or use PT_REGS_RC(ctx) for the return value"),
            );
        }
        good
    }

    /// Returns 0 where the end of a function is reached that is to return something: there is no value otherwise.
    fn return_at_the_end(&mut self) {
        let Function { span, body, .. } = *self.function;
        let last = self.probe.tree.node(body).and_then(|body| body.kids.last()).copied();
        let returns = last.and_then(|last| self.probe.tree.kind(last)) == Some(&NodeKind::Return);
        let end = Span::new(span.end.saturating_sub(1), span.end);
        if !returns && !returns_nothing(self.function) && slice(self.probe.text, end) == "}" {
            self.output.edits.replace(Span::new(end.start, end.start), span, "return 0; ");
        }
    }

    /// Turns the user's function into a static one that the programs call.
    fn make_body(&mut self) -> Result<(), Refusal> {
        for (span, name) in declarations(self.function) {
            let name = name.ok_or(Refusal::InMacro(span, "the name of a program's function"))?;
            self.output.edits.open(span, "static __always_inline ");
            self.output.edits.replace(name, span, body_name(&self.function.name));
        }
        Ok(())
    }

    /// Writes the programs of one kind, and says what was promised.
    fn program(&mut self, program: &Use, needs: &Needs, number: usize) -> ProgramFact {
        let function = self.function;
        let kind = program.kind;
        let mut forms = Vec::new();
        let mut registers_because = None;
        if let Some(better) = kind.better().and_then(kind::by_name) {
            match needs.arities(self.probe, program) {
                Ok(arities) => {
                    for (index, arity) in arities.iter().enumerate() {
                        let suffix = if index == 0 { String::new() } else { arity.to_string() };
                        let name = format!("{}__{}{suffix}", function.name, better.name());
                        self.wrapper(better, &program.targets, &name, Some(*arity), needs);
                        forms.push(Form { kind: better.name().to_owned(), program: name, arguments: Some(*arity) });
                    }
                }
                Err(because) => registers_because = Some(because),
            }
        }
        let own_name = number == 0 && !is_named_as_a_section(&function.name, std::slice::from_ref(program));
        let name = if own_name { function.name.clone() } else { format!("{}__{}", function.name, kind.name()) };
        if needs.body {
            self.wrapper(kind, &program.targets, &name, None, needs);
        }
        let arguments = (kind.name() == usdt::KIND).then(|| super::usdt::arguments(self.probe, self.id)).flatten();
        forms.push(Form { kind: kind.name().to_owned(), program: name, arguments });
        ProgramFact {
            function: function.name.clone(),
            span: function.name_span.unwrap_or(function.span),
            kind: kind.name().to_owned(),
            target: program.named_target.clone(),
            forms,
            registers_because,
            reads: reads::of(self.probe, self.id, Some(kind)),
        }
    }

    /// Writes a program that hands its context to the body.
    fn wrapper(&mut self, kind: &'static dyn Kind, targets: &[String], name: &str, arity: Option<u32>, needs: &Needs) {
        let function = self.function;
        let context = kind.context();
        let mut arguments = Vec::new();
        if needs.real_context {
            arguments.push("ctx".to_owned());
        }
        let by_number = matches!(context, Context::Arguments { .. });
        let wants_registers = by_number && self.takes_registers();
        if !function.parameters.is_empty() {
            arguments.push(if wants_registers { "&regs".to_owned() } else { "(void *)ctx".to_owned() });
        }
        let known = arity.and_then(|arity| usize::try_from(arity).ok());
        let known = known.unwrap_or(if by_number && !wants_registers { MAX_BY_NUMBER } else { MAX_BOUND });
        for (number, parameter) in function.parameters.iter().skip(1).enumerate() {
            let Some(decl) = self.probe.tree.decl(*parameter) else { continue };
            let value = match (by_number, number < known) {
                _ if self.binds_system_call(targets) => {
                    let registers = if by_number { "ctx[0]" } else { "PT_REGS_PARM1(ctx)" };
                    format!("PT_REGS_PARM{}_CORE_SYSCALL((struct pt_regs *){registers})", number + 1)
                }
                _ if context == Context::RawArguments => {
                    format!("((struct bpf_raw_tracepoint_args *)ctx)->args[{number}]")
                }
                (true, true) => format!("ctx[{number}]"),
                (true, false) => "0".to_owned(),
                (false, _) => kind.argument(number + 1),
            };
            let ty = decl.ty.spelling();
            // Of a bool only the low byte is handed over; any other bits are not its own.
            let through = if decl.ty.canonical().unqualified().spelling() == "_Bool" { "(__u8)" } else { "" };
            arguments.push(format!("({ty}){through}{value}"));
        }

        let mut text = format!("SEC(\"{}\") ", section(kind, targets));
        let parameter = if by_number { "unsigned long long *ctx" } else { "struct pt_regs *ctx" };
        text.push_str(&format!("int {name}({parameter})\n{{\n"));
        if wants_registers {
            text.push_str("\tstruct pt_regs regs = {};\n\n");
            for number in 0..known.min(MAX_BOUND) {
                text.push_str(&format!("\tregs.__PT_PARM{}_REG = ctx[{number}];\n", number + 1));
            }
            if matches!(context, Context::Arguments { returns: true }) {
                text.push_str(&format!("\tregs.__PT_RC_REG = ctx[{known}];\n"));
            }
        }
        let call = format!("{}({})", body_name(&function.name), arguments.join(", "));
        if returns_nothing(function) {
            text.push_str(&format!("\t{call};\n\treturn 0;\n}}\n"));
        } else {
            text.push_str(&format!("\treturn {call};\n}}\n"));
        }
        self.output.behind.push_str(&text);
    }

    /// Whether the first parameter is of a type that registers can be handed over as.
    fn takes_registers(&self) -> bool {
        is_registers(self.probe, self.function, 0)
    }

    /// Whether the parameters are the arguments of a system call: they are in the process's registers, to which the
    /// only argument of the call's wrapper points. A function may also take that argument as it is.
    fn binds_system_call(&self, targets: &[String]) -> bool {
        program::is_system_call(&self.function.name, targets) && !is_registers(self.probe, self.function, 1)
    }
}

/// The warning about a program of which only the kind is known.
fn not_attached(function: &str, kind: &dyn Kind, span: Span) -> Diagnostic {
    let name = kind.name();
    if matches!(kind.context(), Context::Registers { .. }) {
        let help = format!(
            "attach it with `//@ attach KIND:TARGET = {function}` in the probe or `--attach KIND:TARGET={function}`, or \
             name it by BCC's convention (`kprobe__tcp_sendmsg`)"
        );
        return Diagnostic::warning(format!("function `{function}` is not attached to anything"), span).help(help);
    }
    let message =
        format!("`{function}` is a program of the kind {name} by its context, and is not attached to anything");
    Diagnostic::warning(message, span).help(format!(
        "attach it with `//@ attach {grammar} = {function}` in the probe or `--attach {grammar}={function}`",
        grammar = kind.grammar()
    ))
}

/// Whether the parameter of that number is a pointer to registers.
fn is_registers(probe: &Probe<'_, '_>, function: &Function<'_>, number: usize) -> bool {
    let decl = function.parameters.get(number).and_then(|parameter| probe.tree.decl(*parameter));
    let pointee = decl.and_then(|decl| decl.ty.canonical().pointee());
    pointee.is_some_and(|pointee| pointee.unqualified().spelling() == "struct pt_regs")
}

/// Whether a function is declared to return nothing.
fn returns_nothing(function: &Function<'_>) -> bool {
    function.result.is_some_and(|result| result.kind() == TypeKind::Void)
}

/// What a program's function has to be turned into.
struct Needs {
    /// It becomes a body that the programs call.
    body: bool,
    /// The body gets the real context beside the registers.
    real_context: bool,
    /// Why it must get the real registers.
    registers_because: Option<String>,
}

impl Needs {
    fn of(probe: &Probe<'_, '_>, id: FunctionId, uses: &[Use]) -> Self {
        let returns = uses.iter().all(|program| {
            matches!(
                program.kind.context(),
                Context::Registers { returns: true, .. } | Context::Arguments { returns: true }
            )
        });
        let function = probe.tree.function(id);
        let bound = function.is_some_and(|function| function.parameters.len() > 1);
        let registers_because = probe.contexts.registers_because(probe.tree, id, returns);
        let mut needs = Self { body: false, real_context: false, registers_because };
        let two_forms = uses.iter().any(|program| needs.arities(probe, program).is_ok());
        // Asked for as fentry, with registers as its context: the registers are made of the arguments.
        let registers_of_fentry =
            uses.iter().any(|program| matches!(program.kind.context(), Context::Arguments { .. }))
                && function.is_some_and(|function| is_registers(probe, function, 0));
        needs.real_context = two_forms || registers_of_fentry;
        let clashes = function.is_some_and(|function| is_named_as_a_section(&function.name, uses));
        // The kernel wants a return value, and what the last helper leaves in its place is not always one.
        let returns_nothing = function.is_some_and(returns_nothing);
        needs.body =
            needs.real_context || bound || clashes || returns_nothing || uses.len() > 1 || probe.roles.is_called(id);
        needs
    }

    /// The numbers of arguments that the targets of a program have, each once; or why it must be a kprobe.
    fn arities(&self, probe: &Probe<'_, '_>, program: &Use) -> Result<BTreeSet<u32>, String> {
        if program.kind.better().is_none() {
            return Err(String::new());
        }
        if let Some(why) = &self.registers_because {
            return Err(why.clone());
        }
        let mut arities = BTreeSet::new();
        for target in &program.targets {
            if matches!(kind::NamePattern::of(target), Ok(Some(_))) {
                return Err(format!("`{target}` stands for many functions"));
            }
            if target.contains('+') {
                return Err(format!("`{target}` is inside of a function"));
            }
            match probe.kernel.arity(target) {
                Some(arity) => drop(arities.insert(arity)),
                None if program.targets.len() > 1 => {}
                None => return Err(format!("the arguments of `{target}` are not known from the kernel's BTF")),
            }
        }
        if arities.is_empty() { Err("the kernel's BTF knows none of its targets".to_owned()) } else { Ok(arities) }
    }
}

/// The name of the function that a program's function becomes.
fn body_name(function: &str) -> String {
    format!("{function}__body")
}

/// The section of a program: that of its targets if they have the same, as libbpf wants it.
fn section(kind: &dyn Kind, targets: &[String]) -> String {
    let mut sections: Vec<String> = targets.iter().map(|target| kind.section(target)).collect();
    sections.dedup();
    match sections.as_mut_slice() {
        [only] => std::mem::take(only),
        _ => kind.sections().first().copied().unwrap_or_default().to_owned(),
    }
}

/// Whether a function is named as the section that it comes into, as in `int xdp(struct xdp_md *ctx)`: an object cannot hold
/// a symbol of both.
fn is_named_as_a_section(function: &str, uses: &[Use]) -> bool {
    uses.iter().any(|program| section(program.kind, &program.targets) == function)
}

/// Where the list of parameters starts, and whether it is empty: then the span is all that stands in the brackets.
fn parameter_list(text: &str, behind_name: Span) -> Option<(Span, bool)> {
    let lexed = Lexed::new(slice(text, behind_name));
    let mut tokens = lexed.tokens().iter().filter(|token| token.kind != TokenKind::Comment);
    let open = tokens.next().filter(|token| token.kind == TokenKind::Punctuation(b'('))?;
    let first = tokens.next()?;
    let place = |end: u32| Span::new(behind_name.start + open.span.end, behind_name.start + end);
    if first.kind == TokenKind::Punctuation(b')') {
        return Some((place(first.span.start), true));
    }
    let second = tokens.next()?;
    let is_void = second.kind == TokenKind::Punctuation(b')') && lexed.spelling(first) == "void";
    Some(if is_void { (place(second.span.start), true) } else { (place(open.span.end), false) })
}

/// Calls by functions of the text: those of programs' functions go to the bodies, and the real context is handed on.
fn calls(probe: &Probe<'_, '_>, output: &mut Output, threaded: &BTreeSet<FunctionId>) {
    let tree = probe.tree;
    for (id, node) in tree.all() {
        if node.kind != NodeKind::Call {
            continue;
        }
        let Some(called) = tree.callee(id).and_then(|name| tree.function_named(name)) else { continue };
        let Some(function) = tree.function(called) else { continue };
        let is_body = match probe.roles.of(called) {
            Role::Programs(uses) => Needs::of(probe, called, uses).body,
            _ => false,
        };
        let is_threaded = threaded.contains(&called);
        if !is_body && !is_threaded {
            continue;
        }
        let name = tree.kid(id, 0).and_then(|kid| tree.span(tree.bare(kid)));
        let Some(name) = name.filter(|span| slice(probe.text, *span) == function.name) else {
            if let Some(span) = node.span {
                output.refuse(Refusal::InMacro(span, "a call of a function that uses its context"));
            }
            continue;
        };
        if is_body {
            output.edits.replace(name, name, body_name(&function.name));
        }
        if !is_threaded {
            continue;
        }
        let arguments = tree.arguments(id);
        let Some(first) = arguments.first().and_then(|first| tree.span(*first)) else { continue };
        let caller = tree.function_of(id);
        let has_it = caller.is_some_and(|caller| threaded.contains(&caller)) && !is_body;
        let context = match probe.contexts.parameter(called).and_then(|number| arguments.get(number)) {
            Some(argument) if !has_it => tree.span(*argument).map(|span| slice(probe.text, span)),
            _ => Some("dbcc_ctx"),
        };
        output.edits.open(first, format!("{}, ", context.unwrap_or("0")));
    }
}
