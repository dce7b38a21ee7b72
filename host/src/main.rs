//! The dbcc binary: arguments in, exit code out; everything else is the library.

use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::process::ExitCode;

use clap::Parser as _;
use crossbeam_channel::{Receiver, unbounded};
use dbcc::cli::{Cli, Command};
use dbcc::config::{CompileSettings, RunSettings};
use dbcc::doctor::{self, Verdict};
use dbcc::pipeline::{self, Failure, Streams};
use dbcc::symbols::{self, Sink};
use dbcc::{
    build, builtin, check, completion, diag, dump, frontend, kept, list, loading, new, ps, run_once, trace, types,
    unpin,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// The probe could not run, or nothing was found.
const FAILED: u8 = 1;
/// The command line or this machine is the reason.
const UNUSABLE: u8 = 2;
/// `dbcc doctor`: only objects run here.
const OBJECTS_ONLY: u8 = 3;

fn main() -> ExitCode {
    // Nothing else may happen where a shell asks what could come next.
    match completion::answer(std::env::args_os(), std::env::current_dir().ok().as_deref()) {
        Ok(false) => {}
        Ok(true) => return ExitCode::SUCCESS,
        Err(error) => {
            // When standard error is gone, there is nobody left to tell.
            let _ = error.print();
            return ExitCode::from(UNUSABLE);
        }
    }
    let cli = Cli::parse();
    let done = match cli.command {
        None => run(&cli.run),
        Some(Command::Symbols(args)) => {
            let mut out = in_blocks();
            let mut sink = Sink::new(&mut out, terminal_width());
            symbols::run(&args, &mut sink).map_err(unusable).map(code)
        }
        Some(Command::List(args)) => {
            list::run(&args, terminal_width(), &mut in_blocks(), &mut io::stderr().lock()).map_err(unusable).map(code)
        }
        Some(Command::Types(args)) => {
            types::run(&args, &mut io::stdout().lock(), &mut io::stderr().lock()).map_err(unusable).map(code)
        }
        Some(Command::Check(args)) => CompileSettings::new(&args.compile).map_err(Failure::from).and_then(|settings| {
            let colour = diag::wants_color(&io::stdout());
            check::run(&args, &settings, colour, &mut io::stdout().lock()).map(code)
        }),
        Some(Command::Dump(args)) => CompileSettings::new(&args.compile).map_err(Failure::from).and_then(|settings| {
            let (out, err) = (&mut io::stdout().lock(), &mut io::stderr().lock());
            dump::run(&args, &settings, out, err).map(code)
        }),
        Some(Command::Build(args)) => {
            build::run(&args, diag::wants_color(&io::stderr()), &mut io::stdout().lock(), &mut io::stderr().lock())
                .map(code)
        }
        Some(Command::New(args)) => {
            new::run(&args, &mut io::stdout().lock(), &mut io::stderr().lock()).map(|()| code(true))
        }
        Some(Command::Probes(args)) => {
            builtin::show(args.name.as_deref(), &mut io::stdout().lock()).map_err(unusable).map(|()| code(true))
        }
        Some(Command::Cache(args)) => kept::run(&args, &mut io::stdout().lock()).map_err(unusable).map(|()| code(true)),
        Some(Command::Doctor(args)) => {
            doctor::run(&args, terminal_width(), &mut io::stdout().lock()).map_err(Failure::from).map(doctor_code)
        }
        Some(Command::Ps(args)) => {
            ps::run(&args, &mut io::stdout().lock(), &mut io::stderr().lock()).map(|()| ExitCode::SUCCESS)
        }
        Some(Command::Load(args)) => {
            loading::run(&args, &mut io::stdout().lock(), &mut io::stderr().lock()).map(|()| ExitCode::SUCCESS)
        }
        Some(Command::Run(args)) => {
            run_once::run(&args, &mut io::stdout().lock(), &mut io::stderr().lock()).map(|()| ExitCode::SUCCESS)
        }
        Some(Command::Unpin(args)) => unpin::run(&args, &mut io::stdout().lock()).map(|()| ExitCode::SUCCESS),
        Some(Command::Trace(args)) => follow_trace(&args).map(|()| ExitCode::SUCCESS),
        Some(Command::Frontend { libclang }) => frontend::serve(&libclang, io::stdin(), &mut io::stdout().lock())
            .map_err(Failure::from)
            .map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|failure| report(&failure))
}

fn run(args: &dbcc::cli::RunArgs) -> Result<ExitCode, Failure> {
    let settings = RunSettings::new(args)?;
    let stop = stop_signals()?;
    let stdout = io::stdout();
    let reader = stdout.as_fd().try_clone_to_owned()?;
    let mut streams = Streams {
        out: &mut stdout.lock(),
        err: &mut io::stderr().lock(),
        out_fd: Some(reader.as_fd()),
        colour: diag::wants_color(&io::stderr()),
    };
    pipeline::run(&settings, stop, &mut streams)?;
    Ok(ExitCode::SUCCESS)
}

fn follow_trace(args: &dbcc::cli::TraceArgs) -> Result<(), Failure> {
    let stop = stop_signals()?;
    let reader = io::stdout().as_fd().try_clone_to_owned()?;
    // Where every system call prints, as in a first try, a write for each line would never end.
    trace::run(args, &stop, &mut in_blocks(), &mut io::stderr().lock(), reader.as_fd())
}

/// A failure that lies at this machine, but for a reader of the output that is gone.
fn unusable(error: anyhow::Error) -> Failure {
    match error.downcast::<io::Error>() {
        Ok(error) => error.into(),
        Err(error) => Failure::Unusable(error),
    }
}

fn code(success: bool) -> ExitCode {
    if success { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
}

fn doctor_code(verdict: Verdict) -> ExitCode {
    match verdict {
        Verdict::Runs => ExitCode::SUCCESS,
        Verdict::RunsObjects => ExitCode::from(OBJECTS_ONLY),
        Verdict::RunsNothing => ExitCode::from(FAILED),
    }
}

/// Standard output for lists of tens of thousands of lines, each of which it would hand to the system by itself. Who writes to it
/// flushes it, to learn what went wrong.
fn in_blocks() -> io::BufWriter<io::StdoutLock<'static>> {
    io::BufWriter::with_capacity(64 << 10, io::stdout().lock())
}

/// Columns of the terminal that standard output is; none where it is something else.
fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// The first signal asks for an orderly end; the next one of its kind ends the process as it would have without dbcc's
/// handler, should the end hang.
fn stop_signals() -> io::Result<Receiver<String>> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let (send, receive) = unbounded();
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        let mut seen = Vec::new();
        for signal in signals.forever() {
            if seen.contains(&signal) {
                let _ = signal_hook::low_level::emulate_default_handler(signal);
            }
            seen.push(signal);
            let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
            let _ = send.send(name.to_owned());
        }
    })?;
    Ok(receive)
}

fn report(failure: &Failure) -> ExitCode {
    let mut err = io::stderr().lock();
    // When standard error is gone, there is nobody left to tell.
    let _ = match failure {
        Failure::Quiet => Ok(()),
        Failure::Probe { source, diagnostics } => {
            let colour = diag::wants_color(&err);
            err.write_all(diag::render_all(diagnostics, source, colour).as_bytes())
        }
        Failure::Run(error) | Failure::Unusable(error) => writeln!(err, "dbcc: {error:#}"),
    };
    match failure {
        Failure::Quiet => ExitCode::SUCCESS,
        Failure::Probe { .. } | Failure::Run(_) => ExitCode::from(FAILED),
        Failure::Unusable(_) => ExitCode::from(UNUSABLE),
    }
}
