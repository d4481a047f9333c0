//! The sites that a collector serves.

use std::collections::BTreeMap;
use std::ops::Range;

use hallwatch_config::{Problem, Section, Spanned};
use hallwatch_model::{AgentPath, Id};

use super::{some_text, topology};
use crate::topology::Plan;

/// A site and its agents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Whose site it is.
    pub tenant: Id,
    /// Its name in labels and topics, unique within the tenant.
    pub id: Id,
    /// Its name for people.
    pub name: String,
    /// The agents that may speak for it. At least one.
    pub agents: Vec<Id>,
}

impl Site {
    /// The paths of its agents.
    pub fn agent_paths(&self) -> impl Iterator<Item = AgentPath> {
        self.agents.iter().map(|agent| AgentPath {
            tenant: self.tenant.clone(),
            site: self.id.clone(),
            agent: agent.clone(),
        })
    }
}

/// All sites, and the topologies of those that have one; `None` when there is none, or one that is
/// wrong.
pub(super) fn sites(
    root: &mut Section<'_>,
    warnings: &mut Vec<Problem>,
) -> Option<(Vec<Site>, Vec<Plan>)> {
    let had_any = root.has("site");
    let sections = root.sections("site");
    if sections.is_empty() && !had_any {
        let help = "add `[[site]]` with `id`, `tenant` and `agents`".to_owned();
        root.problem(root.span(), "no site is served", "", Some(help));
        return None;
    }
    let mut taken: BTreeMap<(Id, Id), Range<usize>> = BTreeMap::new();
    let sites: Vec<Option<(Site, Option<Plan>)>> =
        sections.into_iter().map(|section| site(section, &mut taken, warnings)).collect();
    let sites: Vec<(Site, Option<Plan>)> = sites.into_iter().collect::<Option<_>>()?;
    let (sites, plans): (Vec<Site>, Vec<Option<Plan>>) = sites.into_iter().unzip();
    Some((sites, plans.into_iter().flatten().collect()))
}

fn site(
    mut section: Section<'_>,
    taken: &mut BTreeMap<(Id, Id), Range<usize>>,
    warnings: &mut Vec<Problem>,
) -> Option<(Site, Option<Plan>)> {
    let id = section.checked("id", Id::new);
    let tenant = section.checked("tenant", Id::new);
    let name = section.checked_optional("name", some_text);
    let had_agents = section.has("agents");
    let elements = section.value("agents");
    let agents = section.checked_list("agents", Id::new);
    section.unique("agent", &agents);
    match &elements {
        None if !had_agents => {
            let help = "add `agents = [\"gw-1\"]`, the names of its gateways".to_owned();
            section.problem(section.span(), "`agents` is missing in `site`", "", Some(help));
        }
        Some(value) if agents.is_empty() && value.elements().is_some_and(|all| all.is_empty()) => {
            let help = "name its gateways, for example `agents = [\"gw-1\"]`".to_owned();
            section.problem(value.span(), "a site has no agent", "empty", Some(help));
        }
        _ => {}
    }
    let had_topology = section.has("topology");
    let topology = section.section("topology").and_then(|section| {
        // What is wrong in it is told, also when the site has no name.
        let unnamed = || Id::new("unnamed").ok();
        let tenant = tenant.as_ref().map(|id| id.value.clone()).or_else(unnamed)?;
        let site = id.as_ref().map(|id| id.value.clone()).or_else(unnamed)?;
        let only = agents.first().filter(|_| agents.len() == 1).map(|agent| agent.value.clone());
        topology::topology(section, (tenant, site, only), warnings)
    });
    let (id, tenant): (Spanned<Id>, Spanned<Id>) = (id?, tenant?);
    let key = (tenant.value.clone(), id.value.clone());
    if taken.contains_key(&key) {
        let message = format!("two sites of `{tenant}` have the id `{id}`");
        let help = "give each site of a tenant its own `id`".to_owned();
        section.problem(id.span.clone(), message, "used before", Some(help));
    }
    taken.insert(key, id.span.clone());
    if had_topology && topology.is_none() {
        return None;
    }
    let site = Site {
        name: name.map_or_else(|| id.value.to_string(), |name| name.value),
        id: id.value,
        tenant: tenant.value,
        agents: agents.into_iter().map(|agent| agent.value).collect(),
    };
    Some((site, topology))
}
