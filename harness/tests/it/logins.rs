//! Logging in to registries, and certificates for them.

use std::{
    fs,
    io::{Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    place::{Answer, Place, program},
    registry::Registry,
};

/// A command with a docker configuration of its own, and what it reads.
fn with_input(place: &Place, args: &[&str], input: &str) -> Answer {
    let mut command = Command::new(program());
    command.args(args).env("DOCKER_CONFIG", docker(place)).env("PATH", helpers(place));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // One that fails before it reads says so itself.
    _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    Answer::of(&child.wait_with_output().unwrap())
}

fn docker(place: &Place) -> PathBuf {
    place.dir.path().join("docker")
}

fn helpers(place: &Place) -> String {
    format!("{}:{}", place.dir.path().join("helpers").display(), std::env::var("PATH").unwrap())
}

fn config(place: &Place) -> serde_json::Value {
    serde_json::from_slice(&fs::read(docker(place).join("config.json")).unwrap()).unwrap()
}

#[test]
fn who_is_let_in_stays_so_until_the_logout() {
    let place = Place::new();
    let registry = Registry::with_password(&place);
    let address = registry.address.as_str();
    let login = |args: &[&str], input: &str| with_input(&place, &[&["login", address], args].concat(), input);
    login(&["--password-stdin"], "secret").status_is(2).says("--username");
    login(&["-u", "me", "-p", "secret", "--password-stdin"], "secret").status_is(2).says("cannot be used with");
    login(&["-u", "me"], "").status_is(2).says("--password-stdin");
    login(&[], "").status_is(2).says("no terminal");
    login(&["-u", "me", "--password-stdin"], "\n").status_is(2).says("empty");
    login(&["-u", "m:e", "--password-stdin"], "secret").status_is(2).says("colon");
    login(&["-u", "me", "--password-stdin"], "wrong").status_is(1).says("does not accept");
    with_input(&place, &["login", "127.0.0.1:1", "-u", "me", "-p", "x"], "").status_is(1).says("cannot reach");
    with_input(&place, &["login", "here", "-u", "me", "-p", "x"], "").status_is(2).says("HOST:PORT");
    assert!(!docker(&place).exists(), "something was kept of logins that failed");

    let said = login(&["-u", "me", "--password-stdin"], "secret\r\n").ok().says("unencrypted");
    assert_eq!(said.out, "Login Succeeded\n");
    let mode = fs::metadata(docker(&place).join("config.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(config(&place), serde_json::json!({"auths": {address: {"auth": "bWU6c2VjcmV0"}}}));
    login(&[], "").ok().says("that are kept");
    // A password that does not open is not kept in the place of one that does.
    login(&["-u", "me", "-p", "wrong"], "").status_is(1).says("--password-stdin");
    login(&[], "").ok();
    let logout = || with_input(&place, &["logout", &format!("https://{address}/v2/")], "").ok().out;
    assert_eq!(logout(), format!("Removing login credentials for {address}\n"));
    assert_eq!(config(&place), serde_json::json!({"auths": {}}));
    assert_eq!(logout(), format!("Not logged in to {address}\n"));
    login(&[], "").status_is(2).says("no terminal");
}

/// A helper that keeps what it is given in a file.
fn helper(place: &Place, name: &str) -> PathBuf {
    let (dir, kept) = (place.dir.path().join("helpers"), place.dir.path().join("kept"));
    fs::create_dir_all(&dir).unwrap();
    let script = format!(
        "#!/bin/sh\ncase $1 in\nstore) cat > {0};;\nget) test -e {0} && grep -qF \"\\\"$(cat)\\\"\" {0} && exec cat {0}\n\
         echo credentials not found in native keychain; exit 1;;\nerase) rm {0};;\nesac\n",
        kept.display()
    );
    let program = dir.join(format!("docker-credential-{name}"));
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    kept
}

#[test]
fn credentials_are_kept_with_the_helper() {
    let place = Place::new();
    let registry = Registry::with_password(&place);
    let kept = helper(&place, "keeper");
    let address = registry.address.as_str();
    for settings in
        [serde_json::json!({"credsStore": "keeper"}), serde_json::json!({"credHelpers": {address: "keeper"}})]
    {
        fs::create_dir_all(docker(&place)).unwrap();
        fs::write(docker(&place).join("config.json"), settings.to_string()).unwrap();
        let with = |args: &[&str], input: &str| with_input(&place, args, input);
        let login = with(&["login", "-u", "me", "--password-stdin", address], "secret").ok();
        assert!(!login.err.contains("unencrypted"), "{login:?}");
        let given: serde_json::Value = serde_json::from_slice(&fs::read(&kept).unwrap()).unwrap();
        assert_eq!(given, serde_json::json!({"ServerURL": address, "Username": "me", "Secret": "secret"}));
        let mut expected = settings.clone();
        expected["auths"] = serde_json::json!({address: {}});
        assert_eq!(config(&place), expected);
        with(&["login", address], "").ok();
        assert!(with(&["logout", address], "").ok().out.starts_with("Removing"));
        assert!(!kept.exists(), "the helper still knows");
        assert!(with(&["logout", address], "").ok().out.starts_with("Not logged in"));
    }
    fs::write(docker(&place).join("config.json"), r#"{"credsStore": "missing"}"#).unwrap();
    let failed = with_input(&place, &["login", "-u", "me", "-p", "secret", address], "").status_is(1);
    failed.says("docker-credential-missing").says("config.json");
}

#[test]
fn a_terminal_is_asked_and_shows_no_password() {
    let place = Place::new();
    let registry = Registry::with_password(&place);
    let login = format!("stty -echo; {} login {}; stty -a", program().display(), registry.address);
    let mut command = Command::new("script");
    command.args(["-qec", &login, "/dev/null"]).env("DOCKER_CONFIG", docker(&place));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("install bsdutils");
    let (mut keys, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut text = String::new();
    for (question, typed) in [("Username: ", "me\n"), ("Password: ", "secreX\x7ft\n")] {
        while !text.ends_with(question) {
            let mut byte = [0];
            screen.read_exact(&mut byte).unwrap_or_else(|_| panic!("{question:?} is not asked: {text}"));
            text.push(byte[0].into());
        }
        keys.write_all(typed.as_bytes()).unwrap();
    }
    screen.read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success(), "{text}");
    assert!(text.contains("Login Succeeded"), "{text}");
    assert!(!text.contains("secre"), "{text}");
    assert!(text.contains("\nisig icanon"), "the terminal is not as it was: {text}");
}

/// Certificates and keys of an authority, a server and a client in a directory.
fn certificates(dir: &Path) {
    let script = "set -e
        new() {
            name=$1; shift
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $name.key -subj /CN=$name \"$@\"
        }
        new ca -x509 -out ca.crt -addext basicConstraints=critical,CA:TRUE
        echo subjectAltName=IP:127.0.0.1 > extensions
        for who in server client; do
            new $who -out $who.csr
            openssl x509 -req -in $who.csr -CA ca.crt -CAkey ca.key -CAcreateserial -extfile extensions -out $who.cert
        done
        mkdir none all && mv server.key server.pem && cp ca.crt client.cert client.key all && cp ca.crt none";
    let made = Command::new("sh").args(["-c", script]).current_dir(dir).output().unwrap();
    assert!(made.status.success(), "{made:?}; install openssl");
}

#[test]
fn privileged_dockers_certificates_open_registries() {
    let place = Place::new();
    let dir = place.dir.path().join("certificates");
    fs::create_dir(&dir).unwrap();
    certificates(&dir);
    let at = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let tls = format!(
        "  tls: {{certificate: {}, key: {}, clientcas: [{}]}}\n",
        at("server.cert"),
        at("server.pem"),
        at("ca.crt")
    );
    let registry = Registry::with(&place, &tls);
    let name = format!("{}/mine:1", registry.address);
    let context = place.context(&[("Dockerfile", "FROM tiny\n")]);
    place.run(&["build", "-q", "--driver", "vfs", "-t", &name, context.to_str().unwrap()]).ok();
    // Who trusts nobody, who shows nothing, and who does both.
    place.run(&["push", "-q", &name]).status_is(1).says("certificate");
    place.run(&["push", "-q", "--cert-dir", &at("none"), &name]).status_is(1).says("cannot reach");
    place.run(&["push", "-q", "--cert-dir", &at("all"), &name]).ok();
    place.run(&["pull", "-q", "--tls-verify=false", "--cert-dir", &at("all"), &name]).ok();
    // As docker has it, in a /etc that only the command sees.
    let etc = place.dir.path().join("etc");
    let host = etc.join("docker/certs.d").join(&registry.address);
    fs::create_dir_all(host.parent().unwrap()).unwrap();
    let pull = || {
        let script = "mount -t overlay -o lowerdir=$0:/etc overlay /etc && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script]).arg(&etc).arg(program()).arg("--root").arg(place.root());
        Answer::of(&command.args(["pull", "-q", &name]).output().unwrap())
    };
    pull().status_is(1).says("certificate");
    fs::rename(dir.join("all"), &host).unwrap();
    pull().ok();
    fs::remove_file(host.join("client.key")).unwrap();
    pull().status_is(1).says("client.key is not there");
}
