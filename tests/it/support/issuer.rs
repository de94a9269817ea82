//! An identity provider for tests: discovery, keys, the authorization and the token endpoint of OpenID Connect, on a thread of
//! the test. It logs in whoever comes, with the claims that the test has set, and can be made to misbehave.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard},
    thread,
};

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256},
};
use base64::{Engine, prelude::BASE64_STANDARD, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use volute_plant::{Clock, SystemClock};

pub const CLIENT_ID: &str = "volute-node";
/// It has characters that are encoded in the header.
pub const CLIENT_SECRET: &str = "sword:fish & chips%";

/// An identity provider. Ends with the test's process.
pub struct TestIssuer {
    pub url: String,
    state: Arc<Mutex<State>>,
}

/// What the provider does.
pub struct State {
    url: String,
    /// Claims that replace those of a valid id token; null removes one.
    pub claims: HashMap<&'static str, Value>,
    /// What the userinfo endpoint returns.
    pub user_info: Option<Value>,
    /// The key that signs, and the name that the token gives to it.
    pub signer: Signer,
    pub key_id: &'static str,
    /// The published keys, by name.
    pub published: Vec<(&'static str, Value)>,
    /// The algorithm in the header in place of the signer's.
    pub algorithm: Option<&'static str>,
    /// A path whose response is far too large.
    pub huge: Option<&'static str>,
    /// Whether every connection is closed at once.
    pub is_down: bool,
    /// The paths that were requested.
    pub requests: Vec<String>,
    codes: HashMap<String, Grant>,
}

/// A login that waits for its code to be exchanged.
struct Grant {
    nonce: String,
    challenge: String,
    redirect_uri: String,
}

/// A key.
pub enum Signer {
    P256(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl Signer {
    pub fn p256() -> Self {
        Self::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key"))
    }

    pub fn rsa() -> Self {
        Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).expect("a key"))
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::P256(_) => "ES256",
            Self::Rsa(_) => "RS256",
        }
    }

    /// The public key as a JWK.
    pub fn public(&self) -> Value {
        match self {
            Self::P256(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = (encoded(&point[1..33]), encoded(&point[33..65]));
                json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "x": x, "y": y})
            }
            Self::Rsa(pair) => {
                let key = pair.public_key();
                let part = |part: &[u8]| encoded(part);
                let (n, e) = (key.modulus(), key.exponent());
                let (n, e) = (part(n.big_endian_without_leading_zero()), part(e.big_endian_without_leading_zero()));
                json!({"kty": "RSA", "n": n, "e": e})
            }
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::P256(pair) => pair.sign(&SystemRandom::new(), message).expect("signed").as_ref().to_vec(),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).expect("signed");
                signature
            }
        }
    }
}

impl TestIssuer {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let signer = Signer::p256();
        let state = State {
            url: url.clone(),
            claims: HashMap::new(),
            user_info: None,
            key_id: "key-1",
            published: vec![("key-1", signer.public())],
            signer,
            algorithm: None,
            huge: None,
            is_down: false,
            requests: Vec::new(),
            codes: HashMap::new(),
        };
        let state = Arc::new(Mutex::new(state));
        let shared = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = shared.clone();
                thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { url, state }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("not poisoned")
    }

    /// Sets the claims of the next logins.
    pub fn log_in_as(&self, subject: &str, name: &str, groups: &[&str]) {
        let claims = [("sub", json!(subject)), ("preferred_username", json!(name)), ("groups", json!(groups))];
        self.state().claims = claims.into();
    }
}

impl State {
    /// Signs an id token.
    fn id_token(&self, nonce: &str) -> String {
        let now_s = SystemClock.now().millis() / 1000;
        let mut claims = json!({
            "iss": self.url, "sub": "7f3a", "aud": CLIENT_ID, "exp": now_s + 300, "iat": now_s, "nonce": nonce,
            "preferred_username": "ada", "groups": ["staff"],
        });
        for (name, value) in &self.claims {
            match value {
                Value::Null => drop(claims.as_object_mut().expect("claims").remove(*name)),
                value => claims[*name] = value.clone(),
            }
        }
        let algorithm = self.algorithm.unwrap_or_else(|| self.signer.algorithm());
        let header = json!({"typ": "JWT", "alg": algorithm, "kid": self.key_id});
        let message = format!("{}.{}", encoded(header.to_string().as_bytes()), encoded(claims.to_string().as_bytes()));
        let signature = match algorithm {
            "none" => Vec::new(),
            _ => self.signer.sign(message.as_bytes()),
        };
        format!("{message}.{}", encoded(&signature))
    }

    /// Returns the status, a header, and the body.
    fn respond(&mut self, request: &Request) -> (u16, String, String) {
        let json = |body: Value| (200, "Content-Type: application/json".to_owned(), body.to_string());
        let path = request.path.as_str();
        self.requests.push(path.to_owned());
        if self.huge == Some(path) {
            return (200, "Content-Type: application/json".into(), format!("\"{}\"", "x".repeat(1 << 20)));
        }
        match path {
            "/.well-known/openid-configuration" => {
                let url = &self.url;
                json(json!({
                    "issuer": url,
                    "authorization_endpoint": format!("{url}/authorize?tenant=1"),
                    "token_endpoint": format!("{url}/token"),
                    "jwks_uri": format!("{url}/keys"),
                    "userinfo_endpoint": format!("{url}/userinfo"),
                    "end_session_endpoint": format!("{url}/logout"),
                }))
            }
            "/keys" => {
                let key = |(id, key): &(&str, Value)| {
                    let mut key = key.clone();
                    key["kid"] = json!(id);
                    key
                };
                json(json!({"keys": self.published.iter().map(key).collect::<Vec<_>>()}))
            }
            "/authorize" => self.authorize(&request.query),
            "/token" => match self.exchange(request) {
                Some(id_token) => json(json!({"id_token": id_token, "access_token": "at-1", "token_type": "Bearer"})),
                None => (400, "Content-Type: application/json".into(), json!({"error": "invalid_grant"}).to_string()),
            },
            "/userinfo" if request.authorization == "Bearer at-1" => {
                json(self.user_info.clone().unwrap_or_else(|| json!({"sub": "7f3a"})))
            }
            _ => (404, "Content-Type: text/plain".into(), String::new()),
        }
    }

    /// Logs in whoever comes, and sends the browser back with a code.
    fn authorize(&mut self, query: &HashMap<String, String>) -> (u16, String, String) {
        let of = |name: &str| query.get(name).cloned().unwrap_or_default();
        assert_eq!((of("response_type"), of("client_id")), ("code".into(), CLIENT_ID.into()));
        assert_eq!((of("code_challenge_method"), of("tenant")), ("S256".into(), "1".into()));
        assert!(of("scope").split(' ').any(|scope| scope == "openid"));
        let code = format!("code-{}", self.codes.len());
        let (nonce, challenge, redirect_uri) = (of("nonce"), of("code_challenge"), of("redirect_uri"));
        let location = format!("{redirect_uri}?code={code}&state={}&session_state=x", of("state"));
        self.codes.insert(code, Grant { nonce, challenge, redirect_uri });
        (303, format!("Location: {location}"), String::new())
    }

    /// Exchanges a code, once, for the client that shows its secret and the verifier.
    fn exchange(&mut self, request: &Request) -> Option<String> {
        let form: HashMap<String, String> = serde_urlencoded::from_str(&request.body).ok()?;
        let credentials = BASE64_STANDARD.decode(request.authorization.strip_prefix("Basic ")?).ok()?;
        let credentials = String::from_utf8(credentials).ok()?;
        let secret: Vec<(String, String)> =
            serde_urlencoded::from_str(&format!("s={}", credentials.split_once(':')?.1)).ok()?;
        if !credentials.starts_with(&format!("{CLIENT_ID}:")) || secret[0].1 != CLIENT_SECRET {
            return None;
        }
        let grant = self.codes.remove(form.get("code")?)?;
        let fits = encoded(&Sha256::digest(form.get("code_verifier")?)) == grant.challenge
            && *form.get("redirect_uri")? == grant.redirect_uri
            && form.get("grant_type")? == "authorization_code";
        fits.then(|| self.id_token(&grant.nonce))
    }
}

/// A request, as far as the provider looks at it.
#[derive(Default)]
struct Request {
    path: String,
    query: HashMap<String, String>,
    authorization: String,
    body: String,
}

fn serve(mut stream: TcpStream, state: &Mutex<State>) {
    if state.lock().expect("not poisoned").is_down {
        return;
    }
    let Some(request) = read_request(&stream) else { return };
    let (status, header, body) = state.lock().expect("not poisoned").respond(&request);
    let length = body.len();
    let head = format!("HTTP/1.1 {status} x\r\n{header}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    // The node may stop reading in the middle.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let target = line.split(' ').nth(1)?.to_owned();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut request =
        Request { path: path.to_owned(), query: serde_urlencoded::from_str(query).ok()?, ..Request::default() };
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match name.to_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "authorization" => request.authorization = value.to_owned(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    request.body = String::from_utf8(body).ok()?;
    Some(request)
}

fn encoded(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
