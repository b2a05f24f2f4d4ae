//! What the layers of the image hold, and which instruction made each.

use harness_image::{LayerContents, Store, contents};
use workloads::BuildReport;

/// An image as its Dockerfile made it.
#[derive(Debug)]
pub struct Findings {
    pub steps: Vec<Step>,
    /// Of the image, bottom up.
    pub layers: Vec<LayerContents>,
}

/// An instruction that made a layer.
#[derive(Debug)]
pub struct Step {
    /// As in samples.
    pub label: String,
    pub instruction: String,
    /// Which of the image's layers; those of other stages are in no image.
    pub layer: Option<usize>,
}

impl Findings {
    /// Looks at an image that was just built.
    pub fn read(store: &Store, image: &str, built: &BuildReport) -> harness_image::Result<Self> {
        let image = store.resolve(image)?;
        let mut ids: Vec<_> = image.layers().iter().map(|layer| Some(layer.diff_id.to_string())).collect();
        // From the end: another stage may have made the very layer that was then copied.
        let makers = built.steps.iter().rev().map(|step| {
            let layer =
                step.diff_id.as_ref().and_then(|id| ids.iter().rposition(|known| known.as_ref() == Some(id)))?;
            ids[layer] = None;
            Some(layer)
        });
        let mut makers: Vec<_> = makers.collect();
        makers.reverse();
        let steps = built.steps.iter().zip(makers).enumerate().map(|(index, (step, layer))| Step {
            label: workloads::step_label(index, step),
            instruction: step.instruction.clone(),
            layer,
        });
        Ok(Self { steps: steps.collect(), layers: contents(store, image.layers())? })
    }

    /// The number, from 1, and the instruction that made a layer; none for the base image's.
    pub fn maker(&self, layer: usize) -> Option<(usize, &Step)> {
        self.steps.iter().enumerate().find(|(_, step)| step.layer == Some(layer)).map(|(index, step)| (index + 1, step))
    }
}
