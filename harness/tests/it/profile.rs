//! What a Dockerfile's instructions cost, and the advice that follows.

use std::fs;

use crate::place::Place;

const DOCKERFILE: &str = "\
FROM host AS tools
RUN echo made elsewhere > /made
FROM host
COPY data /data
COPY --from=tools /made /made
RUN chmod -R o-r /data
RUN rm /data/gone
CMD [\"true\"]
";

fn place() -> Place {
    let place = Place::new();
    let (kept, gone) = ("kept ".repeat(40_000), "gone ".repeat(60_000));
    place.context(&[("Dockerfile", DOCKERFILE), ("data/kept", &kept), ("data/gone", &gone)]);
    place
}

#[test]
fn privileged_every_instruction_is_told_with_its_waste_and_what_to_change() {
    let place = place();
    let out = place.dir.path().join("run");
    let run = out.to_str().unwrap();
    let answer = place
        .run(&["profile", "context", "--driver", "overlay2,vfs", "--runs", "1", "--out", run, "--format", "json"])
        .ok();
    let profile: serde_json::Value = serde_json::from_str(&answer.out).unwrap();
    let steps = profile["steps"].as_array().unwrap();
    let step = |word: &str| {
        let found = steps.iter().find(|step| step["instruction"].as_str().unwrap().contains(word));
        found.unwrap_or_else(|| panic!("{word} is not in {profile:#}"))
    };
    let (copy, chmod, remove) = (step("COPY data"), step("chmod"), step("rm /data/gone"));
    assert_eq!(step("made elsewhere")["in_image"], false, "another stage's layer is not shipped");
    assert_eq!(copy["wasted_bytes"], 500_000, "both files, written again by chmod");
    assert_eq!(chmod["wasted_bytes"], 300_000, "what rm deletes");
    assert_eq!(remove["wasted_bytes"], 0);
    assert_eq!(chmod["drivers"]["overlay2"]["copied_up_files"], 2);
    let copied = chmod["drivers"]["overlay2"]["copied_up_bytes"].as_u64().unwrap();
    assert!((500_000..510_000).contains(&copied), "whole blocks of both: {copied}");
    assert!(chmod["drivers"]["vfs"]["seconds"].as_f64().unwrap() > 0.0);
    let number = copy["step"].as_u64().unwrap();
    let advice = |step: &serde_json::Value| step["advice"].to_string();
    assert!(advice(chmod).contains(&format!("use COPY --chmod in step {number}")), "{profile:#}");
    // Told of the step that wrote them, not of those that shipped the same bytes again.
    assert!(advice(copy).contains("deleted by step") && !advice(chmod).contains("deleted"), "{profile:#}");
    for chart in ["steps-context.png", "copied-up-context.svg", "wasted-context.png"] {
        assert!(out.join("charts").join(chart).exists(), "{chart} is not among the charts");
    }
    let samples = fs::read_to_string(out.join("samples.csv")).unwrap();
    assert!(samples.contains(",wasted_bytes,"), "{samples}");
}

#[test]
fn privileged_a_profile_is_read_as_a_table() {
    let place = place();
    let answer = place.run(&["profile", "context/Dockerfile", "--driver", "vfs", "--runs", "1", "--out", "run"]).ok();
    let head = answer.out.lines().next().unwrap();
    assert!(head.contains("INSTRUCTION") && head.contains("WASTED") && head.contains("VFS"), "{head}");
    assert!(answer.out.contains("use COPY --chmod"), "{}", answer.out);
}

#[test]
fn privileged_a_dockerfile_that_is_wrong_is_told_before_anything_is_built() {
    let place = Place::new();
    place.context(&[("Dockerfile", "FROM host\nCOPPY a b\n")]);
    let wrong = place.run(&["profile", "context", "--out", "run"]);
    assert_eq!(wrong.status, 1, "{}", wrong.err);
    assert!(wrong.err.contains("COPPY") && wrong.err.contains("Dockerfile:2"), "{}", wrong.err);
    assert!(!place.dir.path().join("run").exists());
    let none = place.run(&["profile", "nowhere"]);
    assert!(none.status == 2 && none.err.contains("nowhere"), "{}", none.err);
}
