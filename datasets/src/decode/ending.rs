//! How a process of ffmpeg ended, and whose fault that was.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use super::log::Log;

#[derive(Debug, PartialEq, Eq)]
pub enum Ending {
    /// By itself. Its exit status is no 0 where it gave up, for which the log has the reasons.
    Exit(i32),
    /// It crashed: with that file it would again.
    Crash(String),
    /// Someone, or the system, stopped it: nothing is known of the file.
    Stopped(String),
}

/// Signals that a program raises by what it does itself.
const CRASHES: [(i32, &str); 6] = [(4, "SIGILL"), (5, "SIGTRAP"), (6, "SIGABRT"), (7, "SIGBUS"), (8, "SIGFPE"), (11, "SIGSEGV")];
/// Those that others send.
const STOPS: [(i32, &str); 5] = [(1, "SIGHUP"), (2, "SIGINT"), (3, "SIGQUIT"), (9, "SIGKILL"), (15, "SIGTERM")];

/// What ffmpeg exits with after SIGINT or SIGTERM.
const INTERRUPTED: i32 = 255;

impl Ending {
    pub fn of(status: ExitStatus, log: &Log) -> Ending {
        let named = |signals: &[(i32, &str)], signal: i32| signals.iter().find(|s| s.0 == signal).map(|s| format!("{signal} ({})", s.1));
        let ended = |signal: i32| match named(&CRASHES, signal) {
            Some(signal) => Ending::Crash(format!("ffmpeg crashed with signal {signal}")),
            None => {
                let signal = named(&STOPS, signal).unwrap_or_else(|| signal.to_string());
                Ending::Stopped(format!("ffmpeg was stopped by signal {signal}"))
            }
        };
        match (status.signal(), status.code().unwrap_or_default()) {
            (Some(signal), _) => ended(signal),
            (None, INTERRUPTED) if !log.not_permitted() => Ending::Stopped("ffmpeg was stopped by a signal (exit status 255)".to_owned()),
            // A script around ffmpeg exits so if a signal ended that.
            (None, code) if CRASHES.iter().chain(&STOPS).any(|(signal, _)| *signal == code - 128) => ended(code - 128),
            (None, code) => Ending::Exit(code),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::super::pipes::Take;
    use super::*;

    #[test]
    fn whose_fault() {
        let log = |text: &str| {
            let mut log = Log::new(OsStr::new("file:x"));
            log.take(text.as_bytes());
            log
        };
        let signal = |n: i32| Ending::of(ExitStatus::from_raw(n), &log(""));
        let exit = |n: i32| Ending::of(ExitStatus::from_raw(n << 8), &log(""));
        for n in [4, 6, 7, 8, 11] {
            assert!(matches!((signal(n), exit(128 + n)), (Ending::Crash(_), Ending::Crash(_))), "{n}");
        }
        // 24: SIGXCPU, a limit of the machine.
        for n in [9, 15, 2, 24] {
            assert!(matches!(signal(n), Ending::Stopped(_)), "{n}");
        }
        assert_eq!(signal(9), Ending::Stopped("ffmpeg was stopped by signal 9 (SIGKILL)".into()));
        assert!(matches!((exit(255), exit(137), exit(143)), (Ending::Stopped(_), Ending::Stopped(_), Ending::Stopped(_))));
        // Version 7 and later exit with the number of an error: 183 is that of invalid data.
        assert_eq!([exit(0), exit(1), exit(69), exit(183)], [0, 1, 69, 183].map(Ending::Exit));
        let refused = log("[error] Error opening input files: Operation not permitted\n");
        assert_eq!(Ending::of(ExitStatus::from_raw(255 << 8), &refused), Ending::Exit(255));
    }
}
