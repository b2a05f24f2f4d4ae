use std::{
    ffi::{CStr, CString},
    path::PathBuf,
};

use oci_spec::runtime::Spec;

use crate::{
    Error, Result, Stdio, caps,
    config::ResolvedUser,
    plan::{Capabilities, Mapping, Plan, Process as Program, Rlimit, Terminal},
    stdio::Streams,
    translate::{self, Namespaces, absolute, c_string},
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
    /// Whether it has all capabilities that this process has, as docker's `exec --privileged` gives them. The filter of
    /// system calls stays the container's.
    pub privileged: bool,
    /// Whether it is killed when this process dies, as it is by default. Else [`Process::detach`](crate::Process::detach) lets it outlive this one.
    pub die_with_parent: bool,
    /// The standard streams; [`Stdio::Pty`] gives it a terminal of its own.
    pub stdio: Stdio,
}

/// What a container's further programs take over from its start.
#[derive(Debug)]
pub(crate) struct Origin {
    /// The namespaces that it has for itself.
    namespaces: i32,
    /// Whether other processes are in its pid namespace.
    pub(crate) shares_processes: bool,
    /// The ids of its own user namespace.
    users: Option<Mapping>,
    program: Program,
    rlimits: Vec<Rlimit>,
    oom_score_adj: Option<i32>,
    io_priority: Option<u32>,
}

impl Origin {
    pub(crate) fn new(plan: &Plan, namespaces: &Namespaces, users: Option<Mapping>) -> Self {
        let Plan { process, rlimits, oom_score_adj, io_priority, .. } = plan;
        Self {
            namespaces: namespaces.all,
            shares_processes: namespaces.shares_processes(),
            users,
            program: process.clone(),
            rlimits: rlimits.clone(),
            oom_score_adj: *oom_score_adj,
            io_priority: *io_priority,
        }
    }

    /// What is taken over of a container that another process has started with `spec`.
    pub(crate) fn of(spec: &Spec) -> Result<Self> {
        let namespaces = translate::namespaces(spec)?;
        Ok(Self::new(&translate::program(spec)?, &namespaces, translate::users::of_container(spec)?))
    }

    /// Gives pipes to the user of the container's own user namespace who runs the program.
    pub(crate) fn own_stdio(&self, streams: &Streams, plan: &Plan, has_pipes: bool) -> Result<()> {
        match &self.users {
            Some(users) if has_pipes => streams.give_to(users, plan.process.uid, plan.process.gid),
            _ => Ok(()),
        }
    }

    pub(crate) fn plan(&self, exec: &Exec) -> Result<Plan> {
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
        if exec.privileged {
            let all = caps::bits(&caps::all().collect());
            let Capabilities { bounding, effective, permitted, .. } = &mut program.capabilities;
            (*bounding, *effective, *permitted) = (all, all, all);
        }
        let terminal = match exec.stdio {
            Stdio::Pty { rows, cols } => Some(Terminal { rows: rows.into(), columns: cols.into() }),
            _ => None,
        };
        Ok(Plan {
            join: self.namespaces.cast_unsigned(),
            own_stdio: has_pipes(&exec.stdio) && self.users.is_none() && program.uid != 0,
            terminal,
            die_with_parent: exec.die_with_parent,
            rlimits: self.rlimits.clone(),
            oom_score_adj: self.oom_score_adj,
            io_priority: self.io_priority,
            process: program,
            ..Plan::default()
        })
    }
}

pub(crate) fn has_pipes(stdio: &Stdio) -> bool {
    matches!(stdio, Stdio::Pipes | Stdio::Output)
}

/// Sets a variable, in place of an earlier one of its name.
pub(crate) fn set_variable(env: &mut Vec<String>, variable: String) {
    let name = |variable: &str| variable.split('=').next().unwrap_or_default().to_owned();
    match env.iter_mut().find(|known| name(known) == name(&variable)) {
        Some(known) => *known = variable,
        None => env.push(variable),
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
        Self {
            args,
            env: Vec::new(),
            cwd: None,
            user: None,
            role: false,
            privileged: false,
            die_with_parent: true,
            stdio: Stdio::Inherit,
        }
    }
}
