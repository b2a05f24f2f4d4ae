//! kill -9 at any time: the store opens, and `gc` takes the rest away.

use std::{process::Stdio, time::Duration};

use crate::place::{DRIVERS, Place};

#[test]
fn privileged_a_killed_build_leaves_a_store_that_opens() {
    for driver in DRIVERS {
        let place = Place::new();
        let dockerfile =
            "FROM host\nRUN for i in $(seq 300); do echo $i > /f$i; done\nRUN rm /f*\nRUN sleep 1 && touch /end\n";
        let context = place.context(&[("Dockerfile", dockerfile)]);
        let context = context.to_str().unwrap();
        for delay in [10, 30, 60, 100, 150, 250, 400, 700] {
            let mut command = place.command(&["build", "--no-cache", "--driver", driver, context]);
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(delay));
            child.kill().unwrap();
            child.wait().unwrap();
            place.run(&["images"]).ok();
        }
        place.run(&["gc", "--cache"]).ok();
        place.run(&["build", "--driver", driver, "-t", "whole", context]).ok();
        place.container(&["--driver", driver, "--rm"], &["whole", "test", "-f", "/end"]).ok();
        for image in place.run(&["images", "-q"]).ok().out.lines() {
            place.run(&["rmi", "--force", image]).ok();
        }
        place.run(&["gc", "--cache"]).ok();
        let layers = place.root().join("drivers").join(driver).join("layers");
        assert_eq!(crate::place::entries(&layers), 0, "layers stay on {driver}");
    }
}

#[test]
fn privileged_a_killed_run_leaves_testbeds_for_gc() {
    let place = Place::new();
    let mut command = place.command(&["--driver", "overlay2,vfs", "--runs", "50", "--testbed", "loop:ext4,size=1G"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    child.kill().unwrap();
    child.wait().unwrap();
    let said = place.run(&["gc"]).ok().out;
    assert!(said.contains("testbed"), "{said}");
    assert_eq!(place.run(&["gc"]).ok().out, "nothing was left behind\n");
}
