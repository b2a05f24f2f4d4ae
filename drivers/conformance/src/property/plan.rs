use std::fmt;

use proptest::{
    prelude::{BoxedStrategy, Just, Strategy},
    sample::select,
    strategy::Union,
};
use proptest_state_machine::ReferenceStateMachine;

use super::operations::operations;
use crate::Op;

/// What is done to both drivers. Layers are numbered in the order in which they were first asked for.
#[derive(Clone)]
#[allow(missing_docs, reason = "the fields are the numbers of the layers that each step is about")]
pub enum Step {
    /// Makes a layer.
    Create { layer: usize, parent: Option<usize> },
    /// Mounts a layer read-write and changes it.
    Change { layer: usize, ops: Vec<Op> },
    /// Seals a layer.
    Seal { layer: usize },
    /// Removes a layer.
    Remove { layer: usize },
    /// Mounts a layer read-only, and compares trees and changes.
    Compare { layer: usize },
    /// Exports a layer, compares the tars, and lays it over a sibling on each driver.
    Exchange { layer: usize },
    /// Closes the driver and opens it again.
    Reopen,
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { layer, parent: None } => write!(f, "create layer {layer}"),
            Self::Create { layer, parent: Some(parent) } => write!(f, "create layer {layer} on {parent}"),
            Self::Change { layer, ops } => write!(f, "change layer {layer}: {ops:?}"),
            Self::Seal { layer } => write!(f, "seal layer {layer}"),
            Self::Remove { layer } => write!(f, "remove layer {layer}"),
            Self::Compare { layer } => write!(f, "compare layer {layer}"),
            Self::Exchange { layer } => write!(f, "export layer {layer} and lay it over a sibling"),
            Self::Reopen => write!(f, "reopen"),
        }
    }
}

/// What steps are worth generating: which layers there will be if all goes as planned.
///
/// Any list of steps is valid, since both drivers must refuse alike what makes no sense. So steps can be left out
/// freely when a failing run is made smaller.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    made: usize,
    writable: Vec<usize>,
    sealed: Vec<usize>,
}

impl Plan {
    fn any_layer(&self) -> BoxedStrategy<usize> {
        (0..self.made.max(1)).boxed()
    }

    fn of(&self, preferred: &[usize]) -> BoxedStrategy<usize> {
        if preferred.is_empty() {
            return self.any_layer();
        }
        Union::new_weighted(vec![(9, select(preferred.to_vec()).boxed()), (1, self.any_layer())]).boxed()
    }
}

impl ReferenceStateMachine for Plan {
    type State = Self;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Self> {
        Just(Self::default()).boxed()
    }

    fn transitions(plan: &Self) -> BoxedStrategy<Step> {
        let layer = plan.made;
        let parent = plan.of(&plan.sealed).prop_map(Some);
        let create_on = parent.prop_map(move |parent| Step::Create { layer, parent });
        let create = Just(Step::Create { layer, parent: None });
        if plan.made == 0 {
            return create.boxed();
        }
        let change = (plan.of(&plan.writable), operations()).prop_map(|(layer, ops)| Step::Change { layer, ops });
        let any = || plan.any_layer();
        Union::new_weighted(vec![
            (1, create.boxed()),
            (if plan.sealed.is_empty() { 1 } else { 5 }, create_on.boxed()),
            (9, change.boxed()),
            (5, plan.of(&plan.writable).prop_map(|layer| Step::Seal { layer }).boxed()),
            (1, any().prop_map(|layer| Step::Remove { layer }).boxed()),
            (2, any().prop_map(|layer| Step::Compare { layer }).boxed()),
            (4, any().prop_map(|layer| Step::Exchange { layer }).boxed()),
            (1, Just(Step::Reopen).boxed()),
        ])
        .boxed()
    }

    fn apply(mut plan: Self, step: &Step) -> Self {
        match *step {
            Step::Create { layer, .. } => {
                plan.made = plan.made.max(layer + 1);
                plan.writable.push(layer);
            }
            Step::Seal { layer } if plan.writable.contains(&layer) => {
                plan.writable.retain(|writable| *writable != layer);
                plan.sealed.push(layer);
            }
            Step::Remove { layer } => {
                plan.writable.retain(|writable| *writable != layer);
                plan.sealed.retain(|sealed| *sealed != layer);
            }
            _ => {}
        }
        plan
    }
}
