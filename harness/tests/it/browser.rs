//! Chromium without a window, steered by chromedriver (W3C WebDriver over plain HTTP).

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};

pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    profile: tempfile::TempDir,
}

impl Browser {
    pub fn new() -> Self {
        let profile = tempfile::Builder::new().prefix("harness-test-browser-").tempdir().unwrap();
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .env("TMPDIR", profile.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("install chromium and chromium-driver: {error}"));
        let out = BufReader::new(driver.stdout.take().unwrap());
        let mut browser = Self { driver, port: 0, session: String::new(), profile };
        let port = |line: String| line.split_once("successfully on port ")?.1.trim_end_matches('.').parse().ok();
        browser.port = out.lines().map_while(Result::ok).find_map(port).expect("chromedriver names its port");
        let data = format!("--user-data-dir={}", browser.profile.path().join("profile").display());
        let options =
            json!({ "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", data] });
        let logs = json!({ "browser": "ALL", "performance": "ALL" });
        let wanted = json!({ "browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": logs });
        let answer = browser.http("POST", "/session", &json!({ "capabilities": { "alwaysMatch": wanted } }));
        let session = answer["sessionId"].as_str();
        browser.session = session.unwrap_or_else(|| panic!("install chromium: {answer}")).to_owned();
        browser
    }

    pub fn open(&self, page: &Path) {
        self.ask("url", &json!({ "url": format!("file://{}", page.display()) }));
    }

    /// The value of a function's body.
    pub fn script(&self, body: &str) -> Value {
        self.ask("execute/sync", &json!({ "script": body, "args": [] }))
    }

    /// Clicks the first element that fits, as a mouse does: what is covered or not there fails.
    pub fn click(&self, css: &str) {
        let element = self.ask("element", &json!({ "using": "css selector", "value": css }));
        let id = element.as_object().and_then(|fields| fields.values().next()?.as_str()).unwrap().to_owned();
        self.ask(&format!("element/{id}/click"), &json!({}));
    }

    pub fn width(&self, width: u32) {
        let screen = json!({ "width": width, "height": 844, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", &screen);
    }

    pub fn colours(&self, scheme: &str) {
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.devtools("Emulation.setEmulatedMedia", &json!({ "features": [feature] }));
    }

    /// What the page said on the console since the last time, and what the browser said of it.
    pub fn console(&self) -> Vec<Value> {
        self.ask("se/log", &json!({ "type": "browser" })).as_array().cloned().unwrap()
    }

    /// Addresses that were asked for since the last time.
    pub fn requests(&self) -> Vec<String> {
        let entries = self.ask("se/log", &json!({ "type": "performance" }));
        let request = |entry: &Value| {
            let message: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let is_request = message["message"]["method"] == "Network.requestWillBeSent";
            is_request.then(|| message["message"]["params"]["request"]["url"].as_str().map(str::to_owned))?
        };
        entries.as_array().unwrap().iter().filter_map(request).collect()
    }

    fn devtools(&self, command: &str, params: &Value) {
        self.ask("goog/cdp/execute", &json!({ "cmd": command, "params": params }));
    }

    fn ask(&self, what: &str, body: &Value) -> Value {
        let answer = self.http("POST", &format!("/session/{}/{what}", self.session), body);
        assert!(answer.get("error").is_none(), "{what}: {answer}");
        answer
    }

    fn http(&self, method: &str, path: &str, body: &Value) -> Value {
        self.try_http(method, path, &body.to_string()).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    fn try_http(&self, method: &str, path: &str, body: &str) -> std::io::Result<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(120)))?;
        let length = body.len();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}")?;
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().map_err(std::io::Error::other)?;
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut answer = vec![0; length];
        reader.read_exact(&mut answer)?;
        Ok(serde_json::from_slice::<Value>(&answer)?["value"].take())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the browser; chromedriver alone would leave it behind.
        if !self.session.is_empty() {
            let _ = self.try_http("DELETE", &format!("/session/{}", self.session), "");
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
