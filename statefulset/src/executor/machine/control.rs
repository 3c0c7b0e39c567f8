//! The loop that makes what is there what is wanted: pods, names, and packet filters.

use std::{
    collections::BTreeMap,
    fs, io, iter,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::{
    task::{AbortHandle, JoinSet},
    time::sleep,
};

use super::{
    LOOK_EVERY, Shared, lock,
    name_server::{self, Names},
    network::{MACHINE, NAME_SERVER, Place},
    pod::Pod,
    run::RunError,
    volumes::{Folders, VolumeError},
};
use crate::{
    PodName,
    executor::{
        controller::{self, PodView, Step},
        endpoints::{self, PodFacts},
        names::Zone,
        objects::{
            Objects,
            network_policy::Direction,
            pod::PodTemplate,
            service::Service,
            stateful_set::{Retention, StatefulSet},
        },
        policy::{Forward, Party, access, filter},
        variables::Identity,
    },
};

/// The templates of each set: the one that all pods had, and the newest.
pub(super) type Revisions = BTreeMap<String, Templates>;

/// Two templates, each with its revision; the same one while nothing is updated.
#[derive(Clone, Debug)]
pub(super) struct Templates {
    current: (String, PodTemplate),
    newest: (String, PodTemplate),
}

/// Why a look was not finished. The next one tries again.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("the name server does not serve")]
    Names(#[source] io::Error),
    #[error("a volume was not removed")]
    Volume(#[source] io::Error),
    #[error("files of a pod that runs were not brought up to date")]
    Files(#[source] io::Error),
    #[error("set {0} and its ordinal are no name of a pod")]
    Name(String),
}

/// What the loop remembers between two looks: what it has told others, and whom it has yet to start.
#[derive(Default)]
struct Told {
    names: Names,
    server: Option<AbortHandle>,
    filters: BTreeMap<Ipv4Addr, String>,
    objects: Objects,
    /// Pods that are made and do not run yet. A look that fails leaves them to the next one.
    new: Vec<Arc<Pod>>,
}

/// For ever, but for a bug of ours.
pub(super) async fn run(shared: Arc<Shared>) {
    let (mut tasks, mut told) = (JoinSet::new(), Told::default());
    loop {
        let serving = serve(&mut told, &mut tasks).await;
        let outcome = serving.and_then(|()| look(&shared, &mut tasks, &mut told));
        *lock(&shared.trouble) = outcome.err().map(|error| shown(&error));
        if let Some(Err(panic)) = iter::from_fn(|| tasks.try_join_next()).find(Result::is_err) {
            *lock(&shared.trouble) =
                Some(format!("a task is no more, and nothing is done from now on: {panic}"));
            return;
        }
        sleep(LOOK_EVERY).await;
    }
}

/// A name server, as soon as there can be one, and another one when it ended.
async fn serve(told: &mut Told, tasks: &mut JoinSet<()>) -> Result<(), LookError> {
    if told.server.as_ref().is_none_or(AbortHandle::is_finished) {
        let socket = name_server::bind().await.map_err(LookError::Names)?;
        told.server = Some(tasks.spawn(name_server::serve(socket, Arc::clone(&told.names))));
    }
    Ok(())
}

fn look(shared: &Arc<Shared>, tasks: &mut JoinSet<()>, told: &mut Told) -> Result<(), LookError> {
    let objects = shared.objects().clone();
    bury(shared, &objects)?;
    for set in objects.stateful_sets.values() {
        advance(shared, &objects, set, &mut told.new)?;
    }
    let orphans = lock(&shared.pods)
        .values()
        .filter(|pod| !objects.stateful_sets.contains_key(&pod.set))
        .cloned()
        .collect::<Vec<_>>();
    orphans.iter().filter(|pod| !pod.is_terminating()).for_each(|pod| pod.delete());
    tell(shared, &objects, told)?;
    if told.objects != objects {
        project_again(shared, &objects)?;
        told.objects = objects;
    }
    // Only now: a pod has its network before it starts.
    for pod in told.new.drain(..) {
        tasks.spawn(pod.run(Arc::clone(shared)));
    }
    Ok(())
}

/// Files of ConfigMaps and Secrets follow their objects, while containers run. One that lacks something keeps what it has.
fn project_again(shared: &Shared, objects: &Objects) -> Result<(), LookError> {
    for pod in lock(&shared.pods).values() {
        if let Err(VolumeError::Disk(error)) = pod.folders.make(&pod.spec, objects) {
            return Err(LookError::Files(error));
        }
    }
    Ok(())
}

/// Pods that have ended go, and with them what nobody keeps.
fn bury(shared: &Shared, objects: &Objects) -> Result<(), LookError> {
    let mut pods = lock(&shared.pods);
    let ended: Vec<_> = pods.values().filter(|pod| pod.state().has_ended).cloned().collect();
    for pod in ended {
        let is_condemned = objects.stateful_sets.get(&pod.set).is_some_and(|set| {
            let kept = set.spec.persistent_volume_claim_retention_policy.when_scaled;
            kept == Retention::Delete && !set.spec.wanted().contains(&pod.ordinal)
        });
        let claims = pod.folders.claims.iter().filter(|_| is_condemned).map(|(_, folder)| folder);
        claims.chain([&pod.folders.pod]).try_for_each(|folder| remove(folder)).map_err(LookError::Volume)?;
        pods.remove(&pod.identity.name);
    }
    drop(pods);
    lock(&shared.guests).retain(|guest| Arc::strong_count(guest) > 1);
    Ok(())
}

/// A pod that ended before it had files has none to remove.
fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Does what the controller decides; pods that are to be started go to `new`.
fn advance(
    shared: &Shared,
    objects: &Objects,
    set: &StatefulSet,
    new: &mut Vec<Arc<Pod>>,
) -> Result<(), LookError> {
    let views = views(set, &lock(&shared.pods));
    let templates = templates(shared, set, &views);
    for step in controller::decide(&set.spec, &set.revision, &views) {
        match step {
            Step::Create { ordinal, is_newest } => {
                let template = if is_newest { &templates.newest } else { &templates.current };
                let pod = Arc::new(create(shared, objects, set, ordinal, template)?);
                lock(&shared.pods).insert(pod.identity.name.clone(), Arc::clone(&pod));
                new.push(pod);
            }
            Step::Delete { ordinal } => {
                let pods = lock(&shared.pods);
                let found = pods.values().find(|pod| pod.set == set.metadata.name && pod.ordinal == ordinal);
                found.into_iter().for_each(|pod| pod.delete());
            }
        }
    }
    Ok(())
}

/// The template of before counts until all pods are of the newest.
fn templates(shared: &Shared, set: &StatefulSet, views: &[PodView]) -> Templates {
    let mut revisions = lock(&shared.revisions);
    let now = (set.revision.clone(), set.spec.template.clone());
    let templates = revisions
        .entry(set.metadata.name.clone())
        .or_insert_with(|| Templates { current: now.clone(), newest: now.clone() });
    templates.newest = now.clone();
    if !views.is_empty() && views.iter().all(|view| view.revision == set.revision) {
        templates.current = now;
    }
    templates.clone()
}

fn create(
    shared: &Shared,
    objects: &Objects,
    set: &StatefulSet,
    ordinal: u32,
    (revision, template): &(String, PodTemplate),
) -> Result<Pod, LookError> {
    let set_name = &set.metadata.name;
    let name = PodName::new(set_name, ordinal).map_err(|_| LookError::Name(set_name.clone()))?.to_string();
    let place = shared.network.place()?;
    let identity = identity(&name, ordinal, objects, template, revision, &place);
    let claims = set.spec.volume_claim_templates.iter().map(|claim| {
        let claim = claim.metadata.name.clone();
        let folder = shared.folder.join("claims").join(format!("{claim}-{name}"));
        (claim, folder)
    });
    let folders = Folders { pod: pod_folder(shared, &identity), claims: claims.collect() };
    let is_which = (set_name.clone(), ordinal, revision.clone());
    let log = shared.log_file(&name);
    Ok(Pod::new(
        identity,
        is_which,
        set.spec.service_name.clone(),
        template.spec.clone(),
        place,
        folders,
        log,
    ))
}

fn identity(
    name: &str,
    ordinal: u32,
    objects: &Objects,
    template: &PodTemplate,
    revision: &str,
    place: &Place,
) -> Identity {
    let mut labels = template.metadata.labels.clone();
    labels.insert("statefulset.kubernetes.io/pod-name".to_owned(), name.to_owned());
    labels.insert("apps.kubernetes.io/pod-index".to_owned(), ordinal.to_string());
    labels.insert("controller-revision-hash".to_owned(), revision.to_owned());
    Identity {
        name: name.to_owned(),
        namespace: objects.namespace.clone(),
        uid: format!("00000000-0000-4000-8000-{:012x}", place.address.to_bits()),
        labels,
        annotations: template.metadata.annotations.clone(),
        address: place.address,
        host_address: MACHINE,
    }
}

fn pod_folder(shared: &Shared, identity: &Identity) -> PathBuf {
    shared.folder.join("pods").join(&identity.uid)
}

fn views(set: &StatefulSet, pods: &BTreeMap<String, Arc<Pod>>) -> Vec<PodView> {
    let own = pods.values().filter(|pod| pod.set == set.metadata.name);
    let view = |pod: &Arc<Pod>| PodView {
        ordinal: pod.ordinal,
        revision: pod.revision.clone(),
        ready_for: pod.state().ready_since.map(|since| since.elapsed()),
        is_terminating: pod.is_terminating(),
    };
    own.map(view).collect()
}

/// Whether all sets are as they are wanted, and there is nothing else.
pub(super) fn is_settled(objects: &Objects, pods: &BTreeMap<String, Arc<Pod>>) -> bool {
    let sets = &objects.stateful_sets;
    pods.values().all(|pod| sets.contains_key(&pod.set))
        && sets.values().all(|set| controller::is_settled(&set.spec, &set.revision, &views(set, pods)))
}

/// Names and packet filters of now.
fn tell(shared: &Shared, objects: &Objects, told: &mut Told) -> Result<(), LookError> {
    let (pods, guests) = (lock(&shared.pods).clone(), lock(&shared.guests).clone());
    let facts: Vec<_> = pods.values().map(|pod| facts(pod)).collect();
    let given = shared.services();
    *lock(&told.names) = Zone::of(objects, &facts, &given);
    let services: Vec<_> = objects
        .services
        .iter()
        .flat_map(|(name, service)| forwards(service, given.get(name), &facts))
        .collect();
    let mut parties: Vec<_> = facts.iter().map(|pod| party(pod, objects)).collect();
    parties.extend(guests.iter().map(|guest| guest.party()));
    parties.push(name_server_party());
    let places = pods.values().map(|pod| &pod.place).chain(guests.iter().map(|guest| &guest.place));
    for place in places {
        let Some(own) = parties.iter().find(|party| party.address == place.address) else { continue };
        let into = access(objects, own, &parties, Direction::Ingress);
        let out_of = access(objects, own, &parties, Direction::Egress);
        let rules = filter(MACHINE, &into, &out_of, &services);
        if told.filters.get(&place.address) != Some(&rules) {
            place.filter(&rules)?;
            told.filters.insert(place.address, rules);
        }
    }
    told.filters.retain(|address, _| parties.iter().any(|party| party.address == *address));
    Ok(())
}

fn facts(pod: &Pod) -> PodFacts {
    PodFacts {
        name: pod.identity.name.clone(),
        subdomain: pod.subdomain.clone(),
        address: pod.place.address,
        labels: pod.identity.labels.clone(),
        is_ready: pod.is_ready(),
        container: pod.spec.container().clone(),
    }
}

fn party(pod: &PodFacts, objects: &Objects) -> Party {
    Party {
        address: pod.address,
        namespace: objects.namespace.clone(),
        labels: pod.labels.clone(),
        container: Some(pod.container.clone()),
    }
}

fn name_server_party() -> Party {
    let labels = [("k8s-app".to_owned(), "kube-dns".to_owned())].into();
    Party { address: NAME_SERVER, namespace: "kube-system".to_owned(), labels, container: None }
}

fn forwards(service: &Service, address: Option<&Ipv4Addr>, pods: &[PodFacts]) -> Vec<Forward> {
    let Some(address) = address else { return Vec::new() };
    let forward = |port: &crate::executor::objects::service::ServicePort| {
        let ready = endpoints::of(service, pods);
        let to = ready.filter_map(|pod| Some((pod.address, pod.container.port(&port.target())?)));
        Forward { address: *address, port: port.port, to: to.collect() }
    };
    service.spec.ports.iter().map(forward).collect()
}

fn shown(error: &dyn std::error::Error) -> String {
    let inner = error.source().map(|source| format!(": {}", shown(source)));
    format!("{error}{}", inner.unwrap_or_default())
}
