//! Whom a Service stands for.

use std::net::Ipv4Addr;

use super::objects::{
    meta::{Labels, Selector},
    pod::Container,
    service::Service,
};

/// A pod as Services and policies see it.
#[derive(Clone, Debug, PartialEq)]
pub struct PodFacts {
    /// Its name, which is also its host name.
    pub name: String,
    /// The headless Service that names it.
    pub subdomain: String,
    /// Where it is.
    pub address: Ipv4Addr,
    /// What selectors see.
    pub labels: Labels,
    /// Whether requests may be sent to it.
    pub is_ready: bool,
    /// Its names of ports.
    pub container: Container,
}

/// The pods that a Service stands for, in the order of their names. One that selects nothing stands for nobody.
pub fn of<'a>(service: &'a Service, pods: &'a [PodFacts]) -> impl Iterator<Item = &'a PodFacts> {
    let labels = &service.spec.selector;
    let selector = (!labels.is_empty()).then(|| Selector::of(labels.clone()));
    let takes_all = service.spec.publish_not_ready_addresses;
    let is_selected = move |pod: &PodFacts| selector.as_ref().is_some_and(|own| own.matches(&pod.labels));
    pods.iter().filter(move |pod| is_selected(pod) && (takes_all || pod.is_ready))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::executor::objects::tests::objects;

    /// Three pods of the set; only the last one is ready.
    pub(in crate::executor) fn pods() -> Vec<PodFacts> {
        let template = objects().stateful_sets["play"].spec.template.clone();
        let pod = |ordinal: u8| PodFacts {
            name: format!("play-{ordinal}"),
            subdomain: "peers".to_owned(),
            address: Ipv4Addr::new(10, 0, 0, 1 + ordinal),
            labels: template.metadata.labels.clone(),
            is_ready: ordinal == 2,
            container: template.spec.containers[0].clone(),
        };
        (0..3).map(pod).collect()
    }

    fn names(service: &str, pods: &[PodFacts]) -> Vec<String> {
        of(&objects().services[service], pods).map(|pod| pod.name.clone()).collect()
    }

    #[test]
    fn clients_get_those_that_are_ready_and_peers_get_all() {
        assert_eq!(names("play", &pods()), ["play-2"]);
        assert_eq!(names("peers", &pods()), ["play-0", "play-1", "play-2"]);
    }

    #[test]
    fn a_service_without_a_selector_stands_for_nobody() {
        let mut service = objects().services["peers"].clone();
        service.spec.selector.clear();
        assert_eq!(of(&service, &pods()).count(), 0);
    }

    #[test]
    fn pods_of_others_are_not_meant() {
        let mut pods = pods();
        pods[0].labels.insert("app".to_owned(), "other".to_owned());
        assert_eq!(names("peers", &pods), ["play-1", "play-2"]);
    }
}
