//! One pod, as the kubelet runs it: its container is started, asked how it is, started again, and ended.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout_at},
};

use super::{
    Shared,
    network::{NAME_SERVER, Place},
    probes::Running,
    root::{Bind, Root, User},
    volumes::Folders,
};
use crate::executor::{
    backoff::Backoff,
    health::{Health, QUESTIONS, Question},
    names::{DOMAIN, resolver_file},
    objects::pod::PodSpec,
    variables::{self, Identity, NotYet},
};

/// How long a pod waits that lacks something.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How long a container may live after SIGTERM, however long what came before took.
const GRACE_MIN: Duration = Duration::from_secs(2);
/// How long a probe that is not due waits for something else to happen.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A pod.
#[derive(Debug)]
pub(super) struct Pod {
    pub(super) identity: Identity,
    pub(super) ordinal: u32,
    pub(super) set: String,
    pub(super) revision: String,
    pub(super) subdomain: String,
    pub(super) spec: PodSpec,
    pub(super) place: Place,
    pub(super) folders: Folders,
    pub(super) log: PathBuf,
    state: Mutex<State>,
    end: Notify,
    is_terminating: AtomicBool,
}

/// How it is.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    /// Why it does not run. `None`: it runs.
    pub(super) waits_for: Option<String>,
    pub(super) running: Option<Running>,
    pub(super) restarts: u32,
    pub(super) ready_since: Option<Instant>,
    /// What was wrong with the last answer, by question.
    pub(super) wrong: BTreeMap<Question, String>,
    pub(super) last_end: Option<String>,
    pub(super) has_ended: bool,
}

/// Why a run of the container is over.
enum End {
    /// It ended by itself, or was killed by somebody.
    Itself(std::io::Result<ExitStatus>),
    /// This probe says that it must end.
    Condemned(Question),
    /// The pod is to end.
    Deleted,
}

impl Pod {
    pub(super) fn new(
        identity: Identity,
        (set, ordinal, revision): (String, u32, String),
        subdomain: String,
        spec: PodSpec,
        place: Place,
        folders: Folders,
        log: PathBuf,
    ) -> Self {
        let state = State { waits_for: Some("its start".to_owned()), ..State::default() };
        let (state, end, is_terminating) = (Mutex::new(state), Notify::new(), AtomicBool::new(false));
        Self {
            identity,
            ordinal,
            set,
            revision,
            subdomain,
            spec,
            place,
            folders,
            log,
            state,
            end,
            is_terminating,
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells it to end, in order.
    pub(super) fn delete(&self) {
        self.is_terminating.store(true, Ordering::SeqCst);
        self.end.notify_one();
    }

    /// Whether Services send to it.
    pub(super) fn is_ready(&self) -> bool {
        self.state().ready_since.is_some() && !self.is_terminating()
    }

    pub(super) fn is_terminating(&self) -> bool {
        self.is_terminating.load(Ordering::SeqCst)
    }

    /// Sends a signal to its container, past everybody else.
    pub(super) fn signal(&self, signal: Signal) -> bool {
        let pid = self.state().running.as_ref().map(|running| running.pid);
        pid.is_some_and(|pid| send(pid, signal))
    }

    /// Runs it until it is told to end.
    pub(super) async fn run(self: Arc<Self>, shared: Arc<Shared>) {
        let mut backoff = Backoff::default();
        while !self.is_terminating() {
            let wait = match self.start(&shared) {
                Ok((child, running)) => {
                    let begin = Instant::now();
                    self.run_container(child, running).await;
                    backoff.ended(begin.elapsed())
                }
                Err(reason) => {
                    self.waits(reason);
                    TRY_AGAIN_AFTER
                }
            };
            tokio::select! {
                biased;
                () = self.end.notified() => (),
                () = sleep(wait) => (),
            }
        }
        self.state().has_ended = true;
    }

    fn waits(&self, reason: String) {
        let mut state = self.state();
        (state.waits_for, state.running, state.ready_since) = (Some(reason), None, None);
    }

    /// One run of the container, from its start to its end.
    async fn run_container(&self, mut child: Child, running: Running) {
        let mut health = Health::new(&running.container);
        let end = self.watch(&mut child, &running, &mut health).await;
        let grace = Duration::from_secs(self.spec.termination_grace_period_seconds);
        let said = match end {
            End::Itself(status) => status.map_or_else(|error| error.to_string(), |status| status.to_string()),
            End::Condemned(question) => {
                let grace = health.probe(question).and_then(|probe| probe.grace()).unwrap_or(grace);
                let status = self.terminate(&mut child, &running, grace).await;
                format!("{question:?} failed, then {status}")
            }
            End::Deleted => self.terminate(&mut child, &running, grace).await,
        };
        let mut state = self.state();
        state.restarts += u32::from(!self.is_terminating());
        state.last_end = Some(said.clone());
        drop(state);
        self.waits(format!("CrashLoopBackOff: {said}"));
    }

    async fn watch(&self, child: &mut Child, running: &Running, health: &mut Health) -> End {
        let begin = Instant::now();
        let mut asked = JoinSet::new();
        let mut open = Vec::new();
        self.ready(health);
        loop {
            for question in QUESTIONS {
                let is_due = health.next(question).is_some_and(|at| at <= begin.elapsed());
                let handler =
                    health.probe(question).and_then(|probe| Some((probe.handler()?, probe.timeout())));
                if let (true, false, Some((handler, limit))) = (is_due, open.contains(&question), handler) {
                    health.asked(question, begin.elapsed());
                    open.push(question);
                    let running = running.clone();
                    asked.spawn(async move { (question, running.ask(handler, limit).await) });
                }
            }
            let next = QUESTIONS.into_iter().filter(|question| !open.contains(question));
            let next = next.filter_map(|question| health.next(question)).min();
            let next = next.map_or(Instant::now() + LOOK_EVERY, |at| begin + at);
            tokio::select! {
                biased;
                () = self.end.notified() => return End::Deleted,
                status = child.wait() => return End::Itself(status),
                Some(Ok((question, answer))) = asked.join_next(), if !asked.is_empty() => {
                    open.retain(|other| *other != question);
                    let must_end = health.answered(question, answer.is_ok());
                    self.heard(question, answer);
                    self.ready(health);
                    if must_end {
                        return End::Condemned(question);
                    }
                }
                () = sleep_until(next) => (),
            }
        }
    }

    fn heard(&self, question: Question, answer: Result<(), String>) {
        let mut state = self.state();
        match answer {
            Ok(()) => drop(state.wrong.remove(&question)),
            Err(reason) => drop(state.wrong.insert(question, reason)),
        }
    }

    fn ready(&self, health: &Health) {
        let mut state = self.state();
        let since = state.ready_since.unwrap_or_else(Instant::now);
        state.ready_since = health.is_ready().then_some(since);
    }

    /// In order: what comes before, SIGTERM, and, when its time is over, SIGKILL.
    async fn terminate(&self, child: &mut Child, running: &Running, grace: Duration) -> String {
        let end = Instant::now() + grace;
        if let Some(hook) = running.container.lifecycle.pre_stop.clone() {
            tokio::select! {
                biased;
                status = child.wait() => return shown(status),
                _ = running.clone().ask(hook, grace) => (),
            }
        }
        send(running.pid, Signal::TERM);
        let end = end.max(Instant::now() + GRACE_MIN);
        match timeout_at(end, child.wait()).await {
            Ok(status) => shown(status),
            Err(_) => {
                send(running.pid, Signal::KILL);
                format!("killed after {grace:?}: {}", shown(child.wait().await))
            }
        }
    }

    /// Prepares files and variables, and starts the program.
    fn start(&self, shared: &Shared) -> Result<(Child, Running), String> {
        let objects = shared.objects();
        let spec = &self.spec;
        let given = shared.services();
        let variables = variables::variables(spec, &self.identity, &objects, &given);
        let user = self.user(shared).map_err(|reason| format!("CreateContainerConfigError: {reason}"))?;
        let variables = variables.map_err(|reason| format!("CreateContainerConfigError: {reason}"))?;
        self.folders.make(spec, &objects).map_err(|reason| format!("ContainerCreating: {reason}"))?;
        let system_files = self.system_files().map_err(|error| format!("ContainerCreating: {error}"))?;
        drop(objects);
        let container = spec.container().clone();
        let working_folder = container.working_dir.clone().unwrap_or_else(|| "/".into());
        let words =
            variables::command(&container, &shared.image.entry_point, &shared.image.arguments, &variables);
        let mut binds = self.folders.binds(&container);
        binds.extend(system_files);
        let root = Root {
            folder: &shared.root_folder(),
            image: &shared.image,
            host_name: &self.identity.name,
            binds: &binds,
            is_read_only: container.security_context.read_only_root_filesystem,
            user: &user,
            working_folder: &working_folder,
            variables: &variables,
            command: &words,
        };
        let child = self.spawn(&root.script()).map_err(|error| format!("RunContainerError: {error}"))?;
        let pid = child.id().ok_or("it ended before it began")?;
        let variables = variables.into_iter().collect();
        let address = self.place.address;
        let running = Running { pid, address, container, user, variables, working_folder };
        let mut state = self.state();
        (state.running, state.waits_for) = (Some(running.clone()), None);
        state.wrong.clear();
        drop(state);
        Ok((child, running))
    }

    /// What tells programs of names: whom to ask, and its own.
    fn system_files(&self) -> std::io::Result<[Bind; 2]> {
        let Identity { name, namespace, address, .. } = &self.identity;
        let full = format!("{name}.{}.{namespace}.svc.{DOMAIN}", self.subdomain);
        let hosts = format!("127.0.0.1\tlocalhost\n::1\tlocalhost\n{address}\t{full}\t{name}\n");
        let folder = &self.folders.pod;
        fs::create_dir_all(folder)?;
        fs::write(folder.join("resolv.conf"), resolver_file(NAME_SERVER, namespace))?;
        fs::write(folder.join("hosts"), hosts)?;
        let bind = |file: &str| Bind {
            from: folder.join(file),
            to: Path::new("/etc").join(file),
            is_read_only: true,
        };
        Ok(["resolv.conf", "hosts"].map(bind))
    }

    fn spawn(&self, script: &str) -> std::io::Result<Child> {
        let log = fs::File::options().create(true).append(true).open(&self.log)?;
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.place.space.file().display()));
        command.args(["unshare", "--mount", "--uts", "sh", "-c", script]);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true).spawn()
    }

    fn user(&self, shared: &Shared) -> Result<User, NotYet> {
        let (pod, container) = (&self.spec.security_context, &self.spec.container().security_context);
        let user = container.run_as_user.or(pod.run_as_user).unwrap_or(shared.image.user);
        let group = container.run_as_group.or(pod.run_as_group).unwrap_or(shared.image.user);
        if user == 0 && (pod.run_as_non_root || container.run_as_non_root) {
            return Err(NotYet::Root);
        }
        let may_gain_rights = container.allow_privilege_escalation != Some(false);
        Ok(User { user, group, fs_group: pod.fs_group, may_gain_rights })
    }
}

fn send(pid: u32, signal: Signal) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| kill_process(pid, signal).is_ok())
}

fn shown(status: std::io::Result<ExitStatus>) -> String {
    status.map_or_else(|error| error.to_string(), |status| status.to_string())
}
