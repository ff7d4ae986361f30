//! [`TokenServer`]: says who may do what at a registry, in tokens that the registry verifies.

use super::wire::{Framing, Head, answer, base64_decoded, base64_url, body, pairs};
use super::{Listening, PASSWORD, USER};
use crate::harness::output;
use serde_json::{Value, json};
use std::fs;
use std::io::{self, BufReader};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

/// What the server says to a POST (OAuth).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Post {
    /// It is as good as a GET.
    Known,
    /// Not found, as at old servers.
    NotFound,
    /// Method not allowed.
    NotAllowed,
}

/// What was asked of the server.
#[derive(Debug, Clone)]
pub struct TokenRequest {
    /// GET or POST.
    pub method: String,
    /// The scopes, in the order asked for.
    pub scopes: Vec<String>,
    /// Who asked; nobody is anonymous.
    pub user: Option<String>,
    /// `password`, `refresh_token`; empty for a GET.
    pub grant: String,
    /// The status that was answered.
    pub status: u16,
    /// The request, head and body.
    pub text: String,
}

/// A token server. Anyone may pull repositories below `public/`; [`USER`] may do all.
pub struct TokenServer {
    listening: Listening,
    state: Arc<State>,
}

struct State {
    keys: tempfile::TempDir,
    certificate: String,
    post: Post,
    lifetime: u64,
    serial: AtomicU64,
    requests: Mutex<Vec<TokenRequest>>,
    issued: Mutex<Vec<String>>,
}

const SERVICE: &str = "registry of a test";
const ISSUER: &str = "token server of a test";

/// What it takes for [`USER`] in place of her password.
pub const REFRESH_TOKEN: &str = "refresh-me-0f3c8a55";

impl TokenServer {
    /// Starts one whose tokens count for `lifetime` seconds.
    pub fn new(post: Post, lifetime: u64) -> Self {
        let keys = tempfile::tempdir().expect("a temporary directory");
        let at = |name: &str| keys.path().join(name).to_string_lossy().into_owned();
        let line = ["req", "-x509", "-new", "-nodes", "-newkey", "rsa:2048", "-days", "30", "-subj", "/CN=tokens"];
        output("openssl", &[&line[..], &["-keyout", &at("key"), "-out", &at("certificate")]].concat());
        let text = fs::read_to_string(at("certificate")).expect("a certificate");
        let certificate = text.lines().filter(|line| !line.starts_with("-----")).collect();
        let serial = AtomicU64::new(0);
        let (requests, issued) = (Mutex::default(), Mutex::default());
        let state = Arc::new(State { keys, certificate, post, lifetime, serial, requests, issued });
        let serving = state.clone();
        Self { listening: Listening::on("127.0.0.1", move |stream| serving.serve(stream)), state }
    }

    /// Returns the `auth` section of a registry that believes this server.
    pub fn registry_section(&self) -> String {
        let certificate = self.state.keys.path().join("certificate");
        format!(
            "auth:\n  token: {{realm: 'http://{}/token', service: {SERVICE}, issuer: {ISSUER}, rootcertbundle: {}}}\n",
            self.listening.address,
            certificate.display()
        )
    }

    /// Returns where it listens.
    pub fn address(&self) -> &str {
        &self.listening.address
    }

    /// Returns what was asked so far.
    pub fn requests(&self) -> Vec<TokenRequest> {
        self.state.requests.lock().expect("no panic").clone()
    }

    /// Returns every token it gave.
    pub fn issued(&self) -> Vec<String> {
        self.state.issued.lock().expect("no panic").clone()
    }
}

/// What a request says of who asks for what.
#[derive(Debug, Default)]
struct Asked {
    scopes: Vec<String>,
    grant: String,
    offline: bool,
    user: Option<String>,
    right: bool,
}

impl State {
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        while let Some(head) = Head::read(&mut stream)? {
            let mut sent = Vec::new();
            body(&mut stream, head.framing(Framing::Length(0)), |bytes| {
                sent.extend_from_slice(bytes);
                Ok(())
            })?;
            let sent = String::from_utf8_lossy(&sent).into_owned();
            let asked = Asked::read(&head, &sent);
            let (status, told) = self.decide(&head, &asked);
            let code = status[..3].parse().expect("a status");
            let (method, text) = (head.word(0).to_owned(), head.text() + &sent);
            let Asked { scopes, user, grant, .. } = asked;
            let request = TokenRequest { method, scopes, user, grant, status: code, text };
            self.requests.lock().expect("no panic").push(request);
            let kind = [("content-type", "application/json")];
            answer(stream.get_mut(), status, &kind, told.to_string().as_bytes(), false)?;
        }
        Ok(())
    }

    fn decide(&self, head: &Head, asked: &Asked) -> (&'static str, Value) {
        match (head.word(0), self.post) {
            ("POST", Post::NotFound) => return ("404 Not Found", json!({"details": "no such page"})),
            ("POST", Post::NotAllowed) => return ("405 Method Not Allowed", json!({"details": "GET only"})),
            _ => {}
        }
        if asked.user.is_some() && !asked.right {
            return ("401 Unauthorized", json!({"details": "incorrect username or password"}));
        }
        let token = self.token(asked);
        let mut told = json!({"token": token, "access_token": token, "expires_in": self.lifetime});
        if asked.offline && asked.right {
            told["refresh_token"] = REFRESH_TOKEN.into();
        }
        ("200 OK", told)
    }

    /// Signs a token (the registry's `jwt.md`); what may not be done is left out, which is no error.
    fn token(&self, asked: &Asked) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
        let serial = self.serial.fetch_add(1, Ordering::SeqCst);
        let access: Vec<Value> = asked.scopes.iter().filter_map(|scope| granted(scope, asked.right)).collect();
        let claims = json!({
            "iss": ISSUER, "sub": asked.user.clone().unwrap_or_default(), "aud": SERVICE, "jti": serial.to_string(),
            "exp": now + self.lifetime, "nbf": now - 10, "iat": now, "access": access,
        });
        let header = json!({"typ": "JWT", "alg": "RS256", "x5c": [self.certificate]});
        let encoded = |value: Value| base64_url(value.to_string().as_bytes());
        let text = format!("{}.{}", encoded(header), encoded(claims));
        let token = format!("{text}.{}", base64_url(&self.signature(&text, serial)));
        self.issued.lock().expect("no panic").push(token.clone());
        token
    }

    fn signature(&self, text: &str, serial: u64) -> Vec<u8> {
        let at = |name: String| self.keys.path().join(name).to_string_lossy().into_owned();
        let (input, signed) = (at(format!("{serial}.text")), at(format!("{serial}.signed")));
        fs::write(&input, text).expect("a file");
        output("openssl", &["dgst", "-sha256", "-sign", &at("key".into()), "-out", &signed, &input]);
        fs::read(&signed).expect("a signature")
    }
}

impl Asked {
    fn read(head: &Head, form: &str) -> Self {
        let query = head.word(1).split_once('?').map_or("", |(_, query)| query);
        let mut asked = Self::default();
        let mut password = None;
        for (name, value) in pairs(query).into_iter().chain(pairs(form)) {
            match name.as_str() {
                "scope" => asked.scopes.extend(value.split(' ').map(str::to_owned)),
                "grant_type" => asked.grant = value,
                "offline_token" => asked.offline = value == "true",
                "access_type" => asked.offline = value == "offline",
                "username" => asked.user = Some(value),
                "password" => password = Some(value),
                "refresh_token" => {
                    asked.right = value == REFRESH_TOKEN;
                    asked.user = Some(if asked.right { USER.to_owned() } else { String::new() });
                }
                _ => {}
            }
        }
        if let Some((user, basic)) = head.field("authorization").and_then(basic) {
            asked.user = Some(user);
            password = Some(basic);
        }
        asked.right |= asked.user.as_deref() == Some(USER) && password.as_deref() == Some(PASSWORD);
        asked
    }
}

fn basic(value: &str) -> Option<(String, String)> {
    let bytes = base64_decoded(value.strip_prefix("Basic ")?)?;
    let text = String::from_utf8(bytes).ok()?;
    text.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
}

/// Returns what of `repository:NAME:ACTION,…` is granted.
fn granted(scope: &str, known: bool) -> Option<Value> {
    let (kind, rest) = scope.split_once(':')?;
    let (name, actions) = rest.rsplit_once(':')?;
    let may = |action: &&str| known || (*action == "pull" && name.starts_with("public/"));
    let actions: Vec<&str> = actions.split(',').filter(may).collect();
    Some(json!({"type": kind, "name": name, "actions": actions}))
}
