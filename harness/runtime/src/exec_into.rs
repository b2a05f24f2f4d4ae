use std::{
    ffi::{CStr, CString},
    path::PathBuf,
};

use crate::{
    Container, Error, Process, Result, Stdio,
    cgroup::Cgroup,
    config::ResolvedUser,
    launch,
    plan::{Plan, Process as Program, Rlimit, Terminal},
    stdio::Streams,
    translate::{absolute, c_string},
};

/// Another program for a running container.
#[derive(Debug)]
pub struct Exec {
    /// The program and its arguments, looked up as that of the start is.
    pub args: Vec<String>,
    /// `NAME=value`, over the environment that the container was started with.
    pub env: Vec<String>,
    /// The working directory, if it is another than at the start.
    pub cwd: Option<PathBuf>,
    /// Who runs it, if it is not the container's user.
    pub user: Option<ResolvedUser>,
    /// Whether `args` name no file of the image but a [`Role`](crate::Role) of this program, which is then the same
    /// process without another execution.
    pub role: bool,
    /// The standard streams; [`Stdio::Pty`] gives it a terminal of its own.
    pub stdio: Stdio,
}

/// What a container's further programs take over from its start.
#[derive(Debug)]
pub(crate) struct Origin {
    /// The namespaces that it has for itself.
    namespaces: i32,
    program: Program,
    rlimits: Vec<Rlimit>,
    oom_score_adj: Option<i32>,
}

impl Origin {
    pub(crate) fn new(plan: &Plan, namespaces: i32) -> Self {
        let Plan { process, rlimits, oom_score_adj, .. } = plan;
        Self { namespaces, program: process.clone(), rlimits: rlimits.clone(), oom_score_adj: *oom_score_adj }
    }

    fn plan(&self, exec: &Exec) -> Result<Plan> {
        let mut program = Program { reaper: false, role: exec.role, ..self.program.clone() };
        program.args = strings("args", &exec.args)?;
        if program.args.first().is_none_or(|name| name.is_empty()) {
            return Err(Error::invalid("args", "no program is given"));
        }
        for variable in strings("env", &exec.env)? {
            set(&mut program.env, variable);
        }
        if let Some(cwd) = &exec.cwd {
            program.cwd = absolute("cwd", cwd)?;
        }
        if let Some(ResolvedUser { uid, gid, groups, .. }) = &exec.user {
            (program.uid, program.gid, program.groups) = (*uid, *gid, groups.clone());
        }
        let terminal = match exec.stdio {
            Stdio::Pty { rows, cols } => Some(Terminal { rows: rows.into(), columns: cols.into() }),
            _ => None,
        };
        Ok(Plan {
            join: self.namespaces.cast_unsigned(),
            own_stdio: matches!(exec.stdio, Stdio::Pipes | Stdio::Output) && program.uid != 0,
            terminal,
            die_with_parent: true,
            rlimits: self.rlimits.clone(),
            oom_score_adj: self.oom_score_adj,
            process: program,
            ..Plan::default()
        })
    }
}

fn strings(what: &str, strings: &[String]) -> Result<Vec<CString>> {
    strings.iter().map(|string| c_string(what, string.as_bytes())).collect()
}

/// Sets a variable, in place of an earlier one of its name.
fn set(env: &mut Vec<CString>, variable: CString) {
    let name = |variable: &CStr| variable.to_bytes().split(|&byte| byte == b'=').next().map(<[u8]>::to_vec);
    match env.iter_mut().find(|known| name(known) == name(&variable)) {
        Some(known) => *known = variable,
        None => env.push(variable),
    }
}

impl Exec {
    /// A program with this process's standard streams, and all else as at the container's start.
    #[must_use]
    pub fn new<A: Into<String>>(args: impl IntoIterator<Item = A>) -> Self {
        let args = args.into_iter().map(Into::into).collect();
        Self { args, env: Vec::new(), cwd: None, user: None, role: false, stdio: Stdio::Inherit }
    }
}

impl Container {
    /// Starts another program in the running container: in its namespaces, its cgroup and its root, with its
    /// capabilities, its seccomp filter and its limits. The program is being executed when this returns.
    ///
    /// It ends with the container, with this process, and when it is dropped. While it starts it counts as two
    /// processes of the container.
    ///
    /// # Errors
    /// [`Error::Invalid`] for `exec`, [`Error::Setup`] for what the kernel refuses, also when the container has ended,
    /// [`Error::Program`] if the program cannot be executed. Nothing is left then.
    pub fn exec(&self, exec: Exec) -> Result<Process> {
        let plan = self.origin().plan(&exec)?;
        let placement = self.cgroup().map(Cgroup::placement).transpose()?.unwrap_or_default();
        launch::spawn(plan, 0, &placement, Some(self.pidfd()), Streams::open(exec.stdio)?)
    }
}
