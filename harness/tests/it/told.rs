//! What lists, `inspect` and their templates tell, in docker's words and shape.

use std::path::Path;

use serde_json::{Value, json};

use crate::place::Place;

/// A place with an image that exposes a port, a container that runs, one that has ended, and one that publishes a port.
fn place() -> Place {
    let place = Place::new();
    let context = place.context(&[("Dockerfile", "FROM host\nEXPOSE 9/udp\nLABEL tier=middle\nVOLUME /kept\n")]);
    place.run(&["build", "-q", "-t", "exposing", context.to_str().unwrap()]).ok();
    place.container(&["--name", "old", "-l", "tier=back"], &["host", "sh", "-c", "exit 3"]).status_is(3);
    place.with_words("create", &["--name", "made", "-p", "127.0.0.1:8080:80"], &["exposing", "true"]).ok();
    let options = [
        ["--name", "web"],
        ["-l", "tier=front"],
        ["-l", "org.team=a b"],
        ["-v", "data:/d"],
        ["-v", "/tmp:/t:ro,rslave"],
        ["--restart", "on-failure:3"],
        ["--log-opt", "max-size=1m"],
        ["--log-opt", "max-file=2"],
        ["--ulimit", "nofile=10:20"],
        ["--security-opt", "seccomp=unconfined"],
        ["--security-opt", "no-new-privileges"],
        ["--memory", "64m"],
        ["--tmpfs", "/tmpfs:size=1m"],
    ];
    let options = [options.as_flattened(), &["-d", "--driver", "overlay2"]].concat();
    place.container(&options, &["host", "sh", "-c", "echo written > /file; sleep 100"]).ok();
    place
}

const TOLD: [(&[&str], &str); 24] = [
    (&["ps", "-a", "--format", "{{.Names}}:{{.State}}"], "web:running\nmade:created\nold:exited\n"),
    (
        &["ps", "--format", r#"table {{.Names}}\t{{.Label "org.team"}}\t{{.Networks}}"#],
        "NAMES   team   NETWORKS\nweb     a b    none\n",
    ),
    (
        &["ps", "--format", "{{.Image}} {{.Command}} {{.LocalVolumes}} {{.Mounts}}"],
        "host \"sh -c 'echo written…\" 1 data,/tmp\n",
    ),
    (&["ps", "-n", "2", "--format", "{{.Names}}"], "web\nmade\n"),
    (&["ps", "-n", "-1", "--format", "{{.Names}}"], "web\n"),
    (&["ps", "-a", "--filter", "before=made", "--format", "{{.Names}}"], "old\n"),
    (&["ps", "-a", "--filter", "since=old", "--format", "{{.Names}}"], "web\nmade\n"),
    (&["ps", "-a", "--filter", "publish=80", "--format", "{{.Names}}"], "made\n"),
    (&["ps", "-a", "--filter", "publish=9/udp", "--format", "{{.Names}}"], ""),
    (&["ps", "-a", "--filter", "expose=8-10/udp", "--format", "{{.Names}}"], "made\n"),
    (&["ps", "-a", "--filter", "network=bridge", "--format", "{{.Names}}"], "made\n"),
    (&["ps", "-a", "--filter", "volume=/d", "--filter", "health=none", "--format", "{{.Names}}"], "web\n"),
    (&["ps", "-a", "--filter", "name=^e", "--format", "{{.Names}}"], ""),
    (
        &[
            "container",
            "ls",
            "-aq",
            "--filter",
            "label=tier",
            "--filter",
            "label=tier=back",
            "--no-trunc",
            "--format",
            "x",
        ],
        "ID",
    ),
    (&["images", "--format", "{{.Repository}}:{{.Tag}} {{.Label `tier`}}"], "exposing:latest middle\nhost:latest \n"),
    (&["images", "--filter", "until=1970-01-02", "exposing"], "REPOSITORY   TAG   IMAGE ID   CREATED   SIZE\n"),
    (&["image", "ls", "--filter", "label=tier", "--format", "table {{.Repository}}"], "REPOSITORY\nexposing\n"),
    (
        &["history", "--format", "{{.CreatedBy}}|{{.Size}}", "-H=false", "exposing"],
        "VOLUME /kept|0\nLABEL tier=middle|0\nEXPOSE",
    ),
    (&["volume", "ls", "--filter", "dangling=false", "--format", "{{.Name}}"], "data\n"),
    (&["volume", "inspect", "-f", "{{.Driver}} {{.Scope}} {{.Labels.none}}", "data"], "local local <no value>\n"),
    (
        &["inspect", "-f", "{{range .Mounts}}{{.Type}}:{{.Destination}} {{end}}", "web"],
        "volume:/d bind:/t tmpfs:/tmpfs \n",
    ),
    (
        &["inspect", "-f", "{{if .State.Health}}yes{{else}}no{{end}} {{index .Config.Labels `tier`}}", "web"],
        "no front\n",
    ),
    (&["inspect", "--type", "image", "-f", "{{json .Config.ExposedPorts}}", "exposing"], "{\"9/udp\":{}}\n"),
    (
        &["version", "--format", "{{.Client.Version}}={{.Server.Version}}"],
        concat!(env!("CARGO_PKG_VERSION"), "=", env!("CARGO_PKG_VERSION"), "\n"),
    ),
];

/// What `inspect` says of the container that runs, by JSON pointers.
fn shape() -> Vec<(&'static str, Value)> {
    vec![
        ("/Name", json!("/web")),
        ("/State/Running", json!(true)),
        ("/State/FinishedAt", json!("0001-01-01T00:00:00Z")),
        ("/Config/AttachStdout", json!(false)),
        ("/Config/Volumes", Value::Null),
        ("/Config/StopSignal", json!("SIGTERM")),
        ("/HostConfig/RestartPolicy", json!({"Name": "on-failure", "MaximumRetryCount": 3})),
        ("/HostConfig/LogConfig", json!({"Type": "json-file", "Config": {"max-size": "1048576", "max-file": "2"}})),
        ("/HostConfig/Binds", json!(["data:/d", "/tmp:/t:ro,rslave"])),
        ("/HostConfig/Tmpfs", json!({"/tmpfs": "size=1m"})),
        ("/HostConfig/Ulimits", json!([{"Name": "nofile", "Soft": 10, "Hard": 20}])),
        ("/HostConfig/SecurityOpt", json!(["seccomp=unconfined", "no-new-privileges"])),
        ("/HostConfig/Memory", json!(64 << 20)),
        ("/HostConfig/CpuShares", json!(0)),
        ("/HostConfig/PortBindings", json!({})),
        ("/NetworkSettings/IPAddress", json!("")),
        ("/NetworkSettings/Networks/none/IPPrefixLen", json!(0)),
        ("/Mounts/0/Propagation", json!("")),
        ("/Mounts/1/Propagation", json!("rslave")),
        ("/Mounts/1/Mode", json!("ro")),
        ("/GraphDriver/Name", json!("overlay2")),
    ]
}

#[test]
fn privileged_lists_and_templates_are_dockers() {
    let place = place();
    let mut wrong = Vec::new();
    for (args, expected) in TOLD {
        let out = place.run(args).ok().out;
        let fits = match expected {
            // Ids alone win over a format.
            "ID" => out.trim().len() == 32,
            prefix if args[0] == "history" => out.starts_with(prefix),
            whole => out == whole,
        };
        if !fits {
            wrong.push((args, out));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for (args, status, says) in [
        (&["ps", "--format", "{{.Nme}}"][..], 2, "no field Nme; did you mean Names?"),
        (&["ps", "--filter", "since=nobody"], 1, "nobody"),
        (&["images", "--format", "{{if}}"], 2, "--format \"{{if}}\""),
        (&["inspect", "-f", "{{.State.Health.Status}}", "web"], 2, ".State.Health is nil"),
        (&["container", "inspect", "exposing"], 1, "no such container: exposing"),
        (&["port", "web", "80"], 1, "publishes no port 80/tcp"),
        (&["top", "web", "-o", "comm"], 2, "column PID"),
        (&["top", "web", "-o", "pid,comm=PID"], 2, "no other column may be called PID"),
    ] {
        place.run(args).status_is(status).says(says);
    }
    // What is there is told of, whatever else is missing.
    let partly = place.run(&["inspect", "-f", "{{.Name}}", "nobody", "web"]).status_is(1).says("nobody");
    assert_eq!(partly.out, "/web\n");
    inspected(&place);
    lives(&place);
}

fn inspected(place: &Place) {
    let told = |args: &[&str]| -> Value { serde_json::from_str(&place.run(args).ok().out).unwrap() };
    let web = told(&["inspect", "--size", "web"]);
    let differs = |(pointer, expected): &(&str, Value)| web[0].pointer(pointer) != Some(expected);
    let wrong: Vec<_> = shape().into_iter().filter(differs).collect();
    assert!(wrong.is_empty(), "{wrong:#?} in {web:#}");
    assert!(web[0]["SizeRw"].as_u64() > Some(0) && web[0]["SizeRootFs"].as_u64() > web[0]["SizeRw"].as_u64(), "{web}");
    let data = &web[0]["GraphDriver"]["Data"];
    let dir = |name: &str| Path::new(data[name].as_str().unwrap());
    assert!(dir("UpperDir").join("file").is_file() && dir("LowerDir").is_dir() && dir("WorkDir").is_dir(), "{data}");
    assert!(dir("MergedDir").join("file").is_file() && dir("MergedDir").join("bin").exists(), "{data}");
    let made = told(&["inspect", "--format", "json", "made"]);
    assert_eq!(made[0]["HostConfig"]["PortBindings"], json!({"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]}));
    assert_eq!(made[0]["Config"]["ExposedPorts"], json!({"80/tcp": {}, "9/udp": {}}));
    assert_eq!(made[0]["Config"]["Volumes"], json!({"/kept": {}}));
    let image = told(&["image", "inspect", "exposing"]);
    let (name, digest) = ("exposing:latest", image[0]["Digest"].as_str().unwrap());
    assert_eq!(image[0]["RepoTags"], json!([name]));
    assert_eq!(image[0]["RepoDigests"], json!([format!("exposing@{digest}")]));
    let upper = image[0]["GraphDriver"]["Data"]["UpperDir"].as_str().unwrap();
    assert!(Path::new(upper).join("bin").exists(), "{upper}");
    assert!(place.run(&["images", "--digests"]).ok().out.contains(digest));
    // Some volume is called that, too, which containers and images go before.
    assert_eq!(place.run(&["inspect", "-f", "{{.Name}}", "data"]).ok().out, "data\n");
}

fn lives(place: &Place) {
    let sizes = place.run(&["ps", "-as"]).ok().out;
    assert!(sizes.lines().next().unwrap().ends_with("SIZE") && sizes.matches("(virtual ").count() == 3, "{sizes}");
    let top = place.run(&["top", "web", "-eo", "user,pid,comm"]).ok().out;
    let commands: Vec<_> = top.lines().map(|line| line.split_whitespace().last().unwrap()).collect();
    assert_eq!(commands, ["COMMAND", "sh", "sleep"], "{top}");
    let stats = place.run(&["stats", "--no-stream", "--all", "--format", "table"]).ok().out;
    let header = "CONTAINER ID   NAME   CPU %   MEM USAGE / LIMIT   MEM %   NET I/O   BLOCK I/O   PIDS";
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let lines: Vec<_> = stats.lines().map(words).collect();
    assert_eq!((lines[0].clone(), lines.len()), (words(header), 4), "{stats}");
    let web = lines.iter().find(|line| line[1] == "web").unwrap().join(" ");
    assert!(web.contains("/ 64MiB") && web.contains("% 0B / 0B ") && web.ends_with(" 2"), "{web}");
    let info = place.run(&["info", "-f", "{{.Driver}} {{.Containers}} {{.ContainersRunning}} {{.Images}}"]).ok().out;
    assert_eq!(info, "overlay2 3 1 2\n");
    let info = place.run(&["system", "info"]).ok().out;
    assert!(info.contains("\nStorage Driver: overlay2\n") && info.contains("\n Running: 1\n"), "{info}");
}
