//! What a provider's requests say about how it is set up: which box is wrong, in the words of its own screens, and what to do.
//!
//! Not here: how requests come to be known (the provisioning log), and how this is shown (`pages::assistant`, `pages::log`).

use wire::identity::{LoggedRequest, Outcome};

/// Findings of one reason about one kind of resource that are shown.
const ALIKE: usize = 3;

/// The boxes of a provider's screens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Boxes {
    pub(crate) slug: &'static str,
    pub(crate) name: &'static str,
    base_url: &'static str,
    token: &'static str,
    identifier: &'static str,
    mapping: &'static str,
    assign: &'static str,
    groups: &'static str,
    test: &'static str,
}

/// As in the connection guides.
pub(crate) const PROVIDERS: [Boxes; 6] = [
    Boxes {
        slug: "okta",
        name: "Okta",
        base_url: "Provisioning > Integration > SCIM connector base URL",
        token: "Provisioning > Integration > HTTP Header > Authorization",
        identifier: "Provisioning > Integration > Unique identifier field for users",
        mapping: "Provisioning > To App > Attribute Mappings",
        assign: "Assignments",
        groups: "Push Groups, and Push Groups among the Supported provisioning actions",
        test: "Test Connector Configuration",
    },
    Boxes {
        slug: "entra",
        name: "Microsoft Entra ID",
        base_url: "Provisioning > Admin Credentials > Tenant URL",
        token: "Provisioning > Admin Credentials > Secret Token",
        identifier: "Attribute mapping > the attribute with matching precedence 1",
        mapping: "Provisioning > Attribute mapping",
        assign: "Users and groups",
        groups: "Attribute mapping > Provision Microsoft Entra ID Groups, and Users and groups",
        test: "Test Connection",
    },
    Boxes {
        slug: "jumpcloud",
        name: "JumpCloud",
        base_url: "Identity Management > Base URL",
        token: "Identity Management > Token Key",
        identifier: "Identity Management > Attribute Mapping",
        mapping: "Identity Management > Attribute Mapping",
        assign: "User Groups",
        groups: "Enable management of User Groups and Group Membership in this application",
        test: "Test Connection",
    },
    Boxes {
        slug: "onelogin",
        name: "OneLogin",
        base_url: "Configuration > SCIM Base URL",
        token: "Configuration > SCIM Bearer Token",
        identifier: "Parameters > scimusername",
        mapping: "Configuration > SCIM JSON Template, and Parameters",
        assign: "Access",
        groups: "Parameters > Groups > Include in User Provisioning",
        test: "API Connection > Enable",
    },
    Boxes {
        slug: "google",
        name: "Google Workspace",
        base_url: "Auto-provisioning > App authorization > Endpoint URL",
        token: "Auto-provisioning > App authorization > Access token",
        identifier: "Auto-provisioning > Attribute mapping > userName",
        mapping: "Auto-provisioning > Attribute mapping",
        assign: "User access",
        groups: "nothing: Google sends no groups",
        test: "Auto-provisioning > the switch",
    },
    Boxes {
        slug: "pingone",
        name: "PingOne",
        base_url: "Configure authentication > SCIM base URL",
        token: "Configure authentication > OAuth access token",
        identifier: "Configure preferences > User Filter Expression",
        mapping: "Rules > Attribute Mapping",
        assign: "Rules > User Filter",
        groups: "Rules > Groups",
        test: "Test Connection",
    },
];

/// Whichever it is: the log does not know.
pub(crate) const ANY: Boxes = Boxes {
    slug: "",
    name: "The identity provider",
    base_url: "",
    token: "",
    identifier: "",
    mapping: "",
    assign: "",
    groups: "",
    test: "",
};

pub(crate) fn provider(slug: &str) -> Option<&'static Boxes> {
    PROVIDERS.iter().find(|provider| provider.slug == slug)
}

/// What is wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Of this kind.
    pub(crate) key: String,
    /// What it is about, of its kind: one of each is shown, the newest.
    about: String,
    pub(crate) tone: Tone,
    pub(crate) title: String,
    pub(crate) text: String,
    /// Where, in the provider's words. Empty: nowhere there.
    pub(crate) place: String,
    /// Where in the console, below its root, and what to call it.
    pub(crate) page: Option<(String, &'static str)>,
    /// Requests that say the same.
    pub(crate) others: usize,
    /// The request that shows it. Empty: what is missing has none.
    pub(crate) request_id: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tone {
    Good,
    Hint,
    Bad,
}

impl Tone {
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Hint => "warn",
            Self::Bad => "bad",
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Good => "works",
            Self::Hint => "look at this",
            Self::Bad => "wrong",
        }
    }
}

/// What the organization has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct State {
    pub(crate) scim_enabled: bool,
    pub(crate) scim_entitled: bool,
    /// Tokens and, where the plan has OAuth, clients and grants.
    pub(crate) credentials: usize,
    pub(crate) oauth_entitled: bool,
    /// Nothing more is shown: what comes now is not looked at.
    pub(crate) over: bool,
}

/// Of one request that was refused or not done in full; `None`: there is nothing to say.
pub(crate) fn of_request(request: &LoggedRequest, provider: &Boxes) -> Option<Finding> {
    let (base_url, token, name) = (provider.base_url, provider.token, provider.name);
    let group = request.resource_type == "Group";
    let say = |title: &str, text: String, place: &str| {
        let key = match (&*request.reason, request.outcome()) {
            ("", Outcome::Unchanged) => "unchanged",
            ("", _) => "ignored",
            (reason, _) => reason,
        };
        let hint = request.reason.is_empty() || matches!(key, "rate_limit" | "base_url_only");
        Some(Finding {
            key: key.to_owned(),
            about: about(request),
            tone: if hint { Tone::Hint } else { Tone::Bad },
            title: title.to_owned(),
            text,
            place: place.to_owned(),
            page: page(request),
            others: 0,
            request_id: request.id.clone(),
        })
    };
    let told = &request.detail;
    let of = |text: &str| match &*request.subject_name {
        "" => text.to_owned(),
        name => format!("{name}: {text}"),
    };
    let path = &request.path;
    match &*request.reason {
        "base_url" => say(
            "The base URL lacks /scim/v2",
            format!("{name} asked for {path}, where there is nothing. Paste the whole SCIM URL, to its end."),
            base_url,
        ),
        "base_url_version" => say(
            "The base URL does not end in /scim/v2",
            format!("{name} asked for {path}. This is SCIM 2.0 under /scim/v2. Paste the whole SCIM URL."),
            base_url,
        ),
        "base_url_twice" => say(
            "The base URL has /scim/v2 twice",
            format!("{name} asked for {path}. Paste the SCIM URL as it is and add nothing to it."),
            base_url,
        ),
        "base_url_endpoint" => say(
            "The base URL ends in an endpoint",
            format!("{name} asked for {path}: it adds /Users and /Groups by itself. Let the URL end in /scim/v2."),
            base_url,
        ),
        "base_url_case" => say(
            "An endpoint is in the wrong letter case",
            format!("{name} asked for {path}. They are /Users and /Groups, in this spelling."),
            base_url,
        ),
        "base_url_only" => say(
            "The base URL is right, and nothing follows it",
            format!("{name} asked for the base URL alone, which has nothing to show. Leave it as it is: what is provisioned goes to \
                     /Users and /Groups below it. If {name} has boxes for these two, they have to be filled in."),
            base_url,
        ),
        "bearer_twice" => say(
            "\"Bearer\" stands twice in front of the token",
            format!("{name} writes Bearer by itself. Paste the token alone, from rc_scim_ on."),
            token,
        ),
        "no_bearer" => say(
            "The token comes without Bearer",
            format!("{name} sent the token in another way than \"Authorization: Bearer\". Choose bearer token, or HTTP header, as the \
                     authentication, and paste the token alone."),
            token,
        ),
        "basic" => say(
            "The token comes as a password",
            format!("{name} uses Basic Auth with a user name and a password. Choose HTTP header or bearer token instead, and paste the \
                     token there."),
            token,
        ),
        "malformed_token" => say(
            "There is something around the token",
            "Quotes, spaces or line breaks came with it. Paste the token alone, from rc_scim_ to its end.".into(),
            token,
        ),
        "two_credentials" => say(
            "Two credentials came at once",
            format!("{name} or a proxy in front sends two Authorization headers. Leave only the one with the SCIM token."),
            token,
        ),
        "token_expired" => say(
            "The token has expired",
            "Create another one under SCIM tokens and paste it. Next time rotate it before it expires.".into(),
            token,
        ),
        "token_revoked" => say(
            "The token was revoked",
            "Somebody revoked or retired it here. Create another one under SCIM tokens and paste it.".into(),
            token,
        ),
        "token_network" => say(
            "The token is not allowed from this address",
            format!("The request came from {}, which is not among the token's networks. Create a token that has this network, or has \
                     none named.", if request.address.is_empty() { "an unknown address" } else { &request.address }),
            token,
        ),
        "token" => say("The token is not valid", "Create another one under SCIM tokens and paste it.".into(), token),
        "scope" => say("The token may not do this", may_not(told), token),
        "scim_off" => say(
            "SCIM provisioning was off",
            "The token is right. Everything is refused until SCIM provisioning is switched on under SCIM Configuration.".into(),
            "",
        ),
        "plan" => say("The plan does not include this", told.clone(), ""),
        "rate_limit" => say(
            "Requests come too fast",
            format!("{name} is asked to wait and tries again by itself. If it stays so, ask whoever runs Rollcall to raise the \
                     organization's limit."),
            "",
        ),
        "invalidFilter" => say(
            "A look-up asks for an attribute that is not there",
            format!("{told} The unique identifier, or matching attribute, has to be one that users have, such as userName."),
            provider.identifier,
        ),
        "invalidPath" => say(
            "A mapping names an attribute that is not there",
            format!("{told} Take the mapping out, or ask whoever runs Rollcall to add a schema that has the attribute."),
            provider.mapping,
        ),
        "invalidValue" if group && told.contains("member") => say(
            "A group has members that are not here yet",
            format!("{told} Assign its people to the app first, then push the group."),
            provider.assign,
        ),
        "invalidValue" => say("A value cannot be taken", of(told), provider.mapping),
        "invalidSyntax" => say("What was sent cannot be read", told.clone(), provider.mapping),
        "mutability" => say("A mapping writes what cannot be written", told.clone(), provider.mapping),
        "noTarget" => say("A change is about a value that is not there", told.clone(), provider.mapping),
        "uniqueness" if group => say(
            "A group of that name is here already",
            format!("{told} Link the pushed group to the one that is here, or rename one of them."),
            provider.groups,
        ),
        "uniqueness" => say(
            "Somebody with that user name is here already",
            of(&format!("{told} {name} has to look them up by the same attribute that it creates them with; then it links them.")),
            provider.identifier,
        ),
        "not_found" if request.resource_type.is_empty() => say(
            "It asks for something that is not here",
            format!("{name} asked for {path}. There are /Users and /Groups, and what describes them: /ServiceProviderConfig, \
                     /ResourceTypes and /Schemas."),
            base_url,
        ),
        "not_found" => say(
            "It asks for somebody who is not here",
            format!("{name} keeps the id of a user or group of another organization, or of one that was deleted. Unassign and assign \
                     again, or import afresh, so that it looks them up."),
            provider.assign,
        ),
        "media_type" => say("The body is not JSON", format!("{told} Choose SCIM 2.0 as the version."), base_url),
        "method" => say("A request that SCIM does not have", told.clone(), base_url),
        "not_implemented" => say("A request that is not offered here", told.clone(), ""),
        "too_large" | "too_long" => say("A request is too large", told.clone(), ""),
        "precondition" => say("Somebody else changed it meanwhile", told.clone(), ""),
        "unavailable" | "internal" => {
            say("The fault is on our side", format!("{told} Request id {}.", request.request_id), "")
        }
        "" if !request.ignored.is_empty() => {
            let (title, rest) = if request.outcome() == Outcome::Unchanged {
                ("A change was asked for that changes nothing here", "so it was ignored")
            } else {
                ("A part of what was sent was ignored", "so it was not stored; the rest was")
            };
            let text = format!(
                "No schema has {}, {rest}. Take the mapping out, or ask whoever runs Rollcall to add a schema that has it.",
                request.ignored.join(", ")
            );
            say(title, of(&text), provider.mapping)
        }
        "" => None,
        _ => say("A request was refused", told.clone(), ""),
    }
}

/// `This token lacks the scope users:write, which ..`, for somebody who has the console before them.
fn may_not(told: &str) -> String {
    let scope = told.split("the scope ").nth(1).and_then(|rest| rest.split(',').next()).unwrap_or_default();
    let what = match scope {
        "users:read" => "look users up",
        "users:write" => "create, change and remove users",
        "groups:read" => "look groups up",
        "groups:write" => "create, change and remove groups",
        _ => return told.to_owned(),
    };
    format!(
        "It was made without the box \"{what}\" ({scope}). Create one that may do it, and put it in the old one's place."
    )
}

/// Where in the console there is something to do or to see.
fn page(request: &LoggedRequest) -> Option<(String, &'static str)> {
    let found = |kind: &str| match &*request.subject_name {
        "" => kind.to_owned(),
        name => {
            let mut query = form_urlencoded::Serializer::new(String::new());
            format!("{kind}?{}", query.append_pair("q", name).finish())
        }
    };
    let page = match (&*request.reason, &*request.resource_type) {
        (reason, _) if setting_of(reason) == Some(Setting::BaseUrl) => ("scim".to_owned(), "SCIM Configuration"),
        (reason, _) if setting_of(reason) == Some(Setting::Token) || reason == "scope" => {
            ("scim/tokens".to_owned(), "SCIM tokens")
        }
        ("scim_off" | "plan", _) => ("scim".to_owned(), "SCIM Configuration"),
        ("uniqueness", "Group") => (found("groups"), "Groups"),
        ("uniqueness", _) => (found("users"), "Users"),
        ("not_found", "User") => ("users/deleted".to_owned(), "Deleted users"),
        ("invalidValue", "Group") => ("users".to_owned(), "Users"),
        _ => return None,
    };
    Some(page)
}

/// What stands in one box, so that the newest request says how it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Setting {
    BaseUrl,
    Token,
}

fn setting_of(reason: &str) -> Option<Setting> {
    match reason {
        reason if reason.starts_with("base_url") => Some(Setting::BaseUrl),
        "bearer_twice" | "no_bearer" | "basic" | "malformed_token" | "two_credentials" | "no_credential" => {
            Some(Setting::Token)
        }
        reason if reason.starts_with("token") => Some(Setting::Token),
        _ => None,
    }
}

/// What tells one mistake from another of its kind: the same attribute of another user is the same mistake.
fn about(request: &LoggedRequest) -> String {
    if let Some(known) = setting_of(&request.reason) {
        return format!("{known:?}");
    }
    let kind = &request.resource_type;
    if request.reason.is_empty() {
        return format!("{kind} {}", request.ignored.join(" "));
    }
    let plain = match &*request.subject_name {
        "" => request.detail.clone(),
        name => request.detail.replace(name, ""),
    };
    let words = plain.split_whitespace().filter(|word| !word.bytes().any(|byte| byte.is_ascii_digit()));
    format!("{} {kind} {}", request.reason, words.collect::<Vec<_>>().join(" "))
}

/// Whether a later request shows that it is so no more.
fn put_right(request: &LoggedRequest, later: &[LoggedRequest]) -> bool {
    // Below the base URL nothing is looked for before the credential was taken.
    let below =
        |later: &LoggedRequest| later.path.strip_prefix("/scim/v2").is_some_and(|rest| !rest.starts_with("/scim"));
    match setting_of(&request.reason) {
        Some(Setting::BaseUrl) => {
            later.iter().any(|later| setting_of(&later.reason) != Some(Setting::BaseUrl) && below(later))
        }
        Some(Setting::Token) => later.iter().any(|later| match setting_of(&later.reason) {
            None => !later.token_id.is_empty(),
            Some(Setting::BaseUrl) => later.path.starts_with("/scim/v2"),
            Some(Setting::Token) => false,
        }),
        // The organization's switch says how it is.
        None if request.reason == "scim_off" => true,
        // It went well in between, and may do so again.
        None if request.reason == "rate_limit" => false,
        None => later.iter().any(|later| went_well(request, later) && same_matter(request, later)),
    }
}

fn accepted(request: &LoggedRequest) -> bool {
    matches!(request.outcome(), Outcome::Read | Outcome::Changed | Outcome::Unchanged)
}

/// What was to be changed is not changed by being read.
fn went_well(request: &LoggedRequest, later: &LoggedRequest) -> bool {
    accepted(later) && (request.method == "GET" || later.outcome() != Outcome::Read)
}

/// Whether a later request tries the same: with the same user or group, or in the same way where it is about none.
fn same_matter(request: &LoggedRequest, later: &LoggedRequest) -> bool {
    let whole = |path: &str| path.split('?').next().unwrap_or_default().trim_end_matches('/').to_owned();
    let same_way = request.method == later.method && request.resource_type == later.resource_type;
    match &*request.reason {
        "invalidFilter" => same_way && later.path.contains("filter="),
        // How anything is sent, and not whom it is about.
        "scope" | "plan" | "media_type" | "invalidSyntax" | "method" | "unavailable" | "internal" => same_way,
        _ if request.resource_type != later.resource_type => false,
        _ if !request.subject_id.is_empty() && !later.subject_id.is_empty() => request.subject_id == later.subject_id,
        _ if !request.subject_name.is_empty() => {
            request.subject_name.to_lowercase() == later.subject_name.to_lowercase()
        }
        // Of somebody who is not here nothing is known but the address.
        "not_found" => whole(&request.path) == whole(&later.path),
        _ => same_way,
    }
}

/// Of what came in so far, the oldest first. The worst comes first; without requests, what is in their way.
pub(crate) fn of_all(requests: &[LoggedRequest], state: State, provider: &Boxes) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    let hint = |key: &str, tone: Tone, title: &str, text: String, place: &str| Finding {
        key: key.to_owned(),
        about: String::new(),
        tone,
        title: title.to_owned(),
        text,
        place: place.to_owned(),
        page: None,
        others: 0,
        request_id: String::new(),
    };
    if !state.scim_entitled {
        let text = "Whoever runs Rollcall changes the plan. Until then everything is refused.".to_owned();
        let page = Some(("scim".to_owned(), "SCIM Configuration"));
        findings.push(Finding { page, ..hint("plan", Tone::Bad, "SCIM is not part of your plan", text, "") });
    } else if !state.scim_enabled {
        let text = "Everything is refused until it is switched on under SCIM Configuration.".to_owned();
        let page = Some(("scim".to_owned(), "SCIM Configuration"));
        findings.push(Finding { page, ..hint("scim_off", Tone::Bad, "SCIM provisioning is off", text, "") });
    }
    if state.credentials == 0 {
        let (title, text) = if state.oauth_entitled {
            let text = "Nothing can be let in. Create a token under SCIM tokens and paste it, or make an OAuth client.";
            ("There is no valid token and no OAuth client", text)
        } else {
            ("There is no valid token", "Nothing can be let in. Create a token under SCIM tokens, and paste it.")
        };
        let page = Some(("scim/tokens".to_owned(), "SCIM tokens"));
        findings.push(Finding { page, ..hint("no_token", Tone::Bad, title, text.to_owned(), provider.token) });
    }
    for (n, request) in requests.iter().enumerate().rev() {
        // How it is now is said above.
        let of_the_plan = request.reason == "plan" && !state.scim_entitled;
        if of_the_plan || put_right(request, requests.get(n + 1..).unwrap_or_default()) {
            continue;
        }
        let Some(finding) = of_request(request, provider) else { continue };
        if let Some(known) = findings.iter_mut().find(|known| known.about == finding.about) {
            known.others += usize::from(known.key == finding.key);
            continue;
        }
        let alike = findings.iter().filter(|known| known.key == finding.key && known.title == finding.title);
        if alike.count() < ALIKE {
            findings.push(finding);
        }
    }
    let good: Vec<&LoggedRequest> = requests.iter().filter(|request| accepted(request)).collect();
    let wrote = |kind: &str, method: &str| good.iter().any(|one| one.resource_type == kind && one.method == method);
    let (posted, groups) = (wrote("User", "POST"), good.iter().any(|one| one.resource_type == "Group"));
    if requests.is_empty() {
        let (title, when) = if state.over {
            ("Nothing came in", "Start again, then press")
        } else {
            ("Nothing has come in yet", "Press")
        };
        let now = if state.over { "" } else { " now" };
        let text = format!(
            "{when} {}{now}. If nothing shows here within ten seconds, {} does not reach this server, or the token is not one of this \
             organization or was not copied whole: compare the host of the SCIM URL letter by letter, and paste the token again.",
            provider.test, provider.name
        );
        findings.push(hint("nothing", Tone::Hint, title, text, provider.base_url));
    }
    if posted && !groups && provider.slug != "google" {
        let text = "People arrive, and no group has been asked for or sent. If groups are to come here, they are switched on apart.";
        findings.push(hint("no_groups", Tone::Hint, "No groups are pushed", text.to_owned(), provider.groups));
    }
    if !good.is_empty() && !posted && !wrote("User", "PATCH") && !wrote("User", "PUT") && !groups {
        let text = format!("{} gets in and reads. Assign one person to see them arrive.", provider.name);
        let title = "The connection works, nobody is assigned yet";
        findings.push(hint("reads_only", Tone::Good, title, text, provider.assign));
    }
    if groups && wrote("Group", "POST") && !posted && !wrote("User", "PUT") && !wrote("User", "PATCH") {
        let text = "A group push makes nobody: its people have to be assigned, too.".to_owned();
        findings.push(hint("groups_only", Tone::Hint, "Groups arrive without people", text, provider.assign));
    }
    if wrote("User", "PUT") && !wrote("User", "PATCH") && provider.slug == "okta" {
        let text = "Okta sends whole users by PUT, as apps of its App Integration Wizard do. Nothing is wrong with that: a mapping that \
                    is taken out empties the attribute here.";
        findings.push(hint("put_only", Tone::Good, "This app replaces whole users", text.to_owned(), ""));
    }
    if let Some(request) = good.iter().rev().find(|one| plain_user_name(one)) {
        let text = format!(
            "{} is no e-mail address. If the unique identifier is to be the e-mail address, map it to userName.",
            request.subject_name
        );
        let mut finding =
            hint("user_name", Tone::Hint, "User names are no e-mail addresses", text, provider.identifier);
        finding.request_id.clone_from(&request.id);
        findings.push(finding);
    }
    let bad = findings.iter().any(|finding| finding.tone == Tone::Bad);
    if !bad && good.iter().any(|one| one.outcome() == Outcome::Changed) {
        let text = format!("{} gets in, and what it sends is taken.", provider.name);
        findings.push(hint("works", Tone::Good, "Provisioning works", text, ""));
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.tone));
    findings
}

fn plain_user_name(request: &LoggedRequest) -> bool {
    let names = request.resource_type == "User" && request.method == "POST";
    names && !request.subject_name.is_empty() && !request.subject_name.contains('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATE: State =
        State { scim_enabled: true, scim_entitled: true, credentials: 1, oauth_entitled: false, over: false };

    fn okta() -> &'static Boxes {
        provider("okta").expect("Okta")
    }

    fn request(method: &str, path: &str, outcome: Outcome, reason: &str) -> LoggedRequest {
        let resource_type = if path.contains("Groups") { "Group" } else { "User" };
        LoggedRequest {
            id: format!("{method} {path} {reason}"),
            method: method.to_owned(),
            path: path.to_owned(),
            outcome: outcome.into(),
            reason: reason.to_owned(),
            detail: "What it was told.".to_owned(),
            resource_type: resource_type.to_owned(),
            subject_name: "kit@example.com".to_owned(),
            token_id: if setting_of(reason).is_some() { String::new() } else { "t".to_owned() },
            ..LoggedRequest::default()
        }
    }

    fn named(name: &str, request: LoggedRequest) -> LoggedRequest {
        LoggedRequest { subject_name: name.to_owned(), ..request }
    }

    fn told(detail: &str, request: LoggedRequest) -> LoggedRequest {
        LoggedRequest { detail: detail.to_owned(), ..request }
    }

    fn keys(requests: &[LoggedRequest], state: State) -> Vec<String> {
        of_all(requests, state, okta()).into_iter().map(|finding| finding.key).collect()
    }

    #[test]
    fn every_refusal_names_a_box_or_says_that_there_is_none() {
        for reason in [
            "base_url",
            "base_url_version",
            "base_url_twice",
            "base_url_endpoint",
            "base_url_case",
            "bearer_twice",
            "no_bearer",
            "basic",
            "malformed_token",
            "two_credentials",
            "token_expired",
            "token_revoked",
            "token_network",
            "scope",
            "invalidFilter",
            "invalidPath",
            "invalidValue",
            "uniqueness",
            "not_found",
            "mutability",
            "media_type",
        ] {
            for provider in &PROVIDERS {
                let finding = of_request(&request("GET", "/Users", Outcome::Refused, reason), provider).expect(reason);
                assert_eq!((finding.key.as_str(), finding.tone), (reason, Tone::Bad));
                assert!(!finding.place.is_empty() && !finding.text.is_empty(), "{reason}");
            }
        }
        for reason in ["scim_off", "plan", "rate_limit", "internal", "something_new"] {
            let finding = of_request(&request("GET", "/Users", Outcome::Refused, reason), okta()).expect(reason);
            assert!(finding.place.is_empty(), "{reason}");
        }
    }

    #[test]
    fn what_is_missing_is_said_as_well() {
        assert_eq!(keys(&[], STATE), ["nothing"]);
        assert_eq!(keys(&[], State { scim_enabled: false, ..STATE }), ["scim_off", "nothing"]);
        assert_eq!(keys(&[], State { scim_entitled: false, ..STATE }), ["plan", "nothing"]);
        assert_eq!(keys(&[], State { credentials: 0, ..STATE }), ["no_token", "nothing"]);
        let read = request("GET", "/Users", Outcome::Read, "");
        assert_eq!(keys(std::slice::from_ref(&read), STATE), ["reads_only"]);
        let posted = request("POST", "/Users", Outcome::Changed, "");
        assert_eq!(keys(&[read.clone(), posted.clone()], STATE), ["no_groups", "works"]);
        let group = request("POST", "/Groups", Outcome::Changed, "");
        assert_eq!(keys(&[read, posted, group.clone()], STATE), ["works"]);
        assert_eq!(keys(&[group], STATE), ["groups_only", "works"]);
        let put = request("PUT", "/Users/1", Outcome::Changed, "");
        assert_eq!(keys(&[put], STATE), ["put_only", "works"]);
        let plain = named("kit", request("POST", "/Users", Outcome::Changed, ""));
        assert_eq!(keys(&[plain], STATE), ["no_groups", "user_name", "works"]);
    }

    #[test]
    fn what_nobody_watched_any_more_is_not_called_missing() {
        let over = of_all(&[], State { over: true, ..STATE }, okta());
        assert!(over[0].title == "Nothing came in" && over[0].text.starts_with("Start again, then press"), "{over:?}");
    }

    #[test]
    fn who_comes_by_oauth_is_let_in_as_well() {
        let none = of_all(&[], State { credentials: 0, oauth_entitled: true, ..STATE }, okta());
        assert!(none[0].key == "no_token" && none[0].title.contains("no OAuth client"), "{none:?}");
    }

    #[test]
    fn what_was_put_right_is_not_said_any_more() {
        let wrong = request("GET", "/scim/v2/Users", Outcome::Refused, "bearer_twice");
        let right = request("GET", "/scim/v2/Users", Outcome::Read, "");
        assert_eq!(keys(&[wrong.clone(), right.clone()], STATE), ["reads_only"]);
        assert_eq!(keys(&[right, wrong], STATE), ["bearer_twice", "reads_only"]);
    }

    #[test]
    fn of_each_box_the_newest_request_tells() {
        let no_base = request("GET", "/Users", Outcome::Refused, "base_url");
        let twice = request("GET", "/scim/v2/scim/v2/Users", Outcome::Refused, "base_url_twice");
        let bearer = request("GET", "/scim/v2/Users", Outcome::Refused, "bearer_twice");
        let quoted = request("GET", "/scim/v2/Users", Outcome::Refused, "malformed_token");
        assert_eq!(keys(&[no_base.clone(), twice.clone()], STATE), ["base_url_twice"]);
        assert_eq!(keys(&[bearer.clone(), quoted.clone()], STATE), ["malformed_token"]);
        assert_eq!(keys(&[bearer.clone(), no_base.clone()], STATE), ["base_url", "bearer_twice"]);
        assert_eq!(keys(&[no_base, bearer.clone()], STATE), ["bearer_twice"], "it came to the right place");
        assert_eq!(keys(&[bearer, twice], STATE), ["base_url_twice"], "it was let in, and went astray");
        let off = request("POST", "/scim/v2/Users", Outcome::Refused, "scim_off");
        assert_eq!(keys(&[quoted, off.clone()], STATE), [""; 0], "the token is right, and the switch is on again");
        assert_eq!(keys(&[off], State { scim_enabled: false, ..STATE }), ["scim_off"]);
    }

    #[test]
    fn a_finding_about_somebody_ends_when_that_one_arrives() {
        let no_member = told(
            "No member 01a2.",
            named("Toys", request("POST", "/scim/v2/Groups", Outcome::Refused, "invalidValue")),
        );
        let person = request("POST", "/scim/v2/Users", Outcome::Changed, "");
        let pushed = named("Toys", request("POST", "/scim/v2/Groups", Outcome::Changed, ""));
        let other = named("Boats", pushed.clone());
        let read = named("Toys", request("GET", "/scim/v2/Groups", Outcome::Read, ""));
        assert_eq!(keys(&[no_member.clone(), person.clone(), pushed], STATE), ["works"]);
        for later in [other, read, person.clone()] {
            assert!(keys(&[no_member.clone(), later.clone()], STATE).contains(&"invalidValue".to_owned()), "{later:?}");
        }
        let narrow = named("kit", request("POST", "/scim/v2/Users", Outcome::Refused, "scope"));
        assert!(!keys(&[narrow, person], STATE).contains(&"scope".to_owned()), "another token has it");
        let look_up = request("GET", "/scim/v2/Users?filter=login eq 1", Outcome::Refused, "invalidFilter");
        let all = request("GET", "/scim/v2/Users?count=1", Outcome::Read, "");
        let found = request("GET", "/scim/v2/Users?filter=userName eq 1", Outcome::Read, "");
        assert_eq!(keys(&[look_up.clone(), all], STATE), ["invalidFilter", "reads_only"]);
        assert_eq!(keys(&[look_up, found], STATE), ["reads_only"]);
    }

    #[test]
    fn mistakes_of_one_kind_do_not_hide_each_other() {
        let blank = told("userName is required.", request("POST", "/scim/v2/Users", Outcome::Refused, "invalidValue"));
        let blank = named("", blank);
        let group = request("POST", "/scim/v2/Groups", Outcome::Refused, "invalidValue");
        let group = told("No members with these ids: 01a2. Nothing was changed.", named("Toys", group));
        let again = told("No members with these ids: 77ff. Nothing was changed.", named("Boats", group.clone()));
        let found = of_all(&[blank, group, again], STATE, okta());
        let titles: Vec<_> = found.iter().map(|finding| (&*finding.title, finding.others)).collect();
        assert_eq!(titles, [("A group has members that are not here yet", 1), ("A value cannot be taken", 0)]);
        let user =
            told("kit is taken.", named("kit", request("POST", "/scim/v2/Users", Outcome::Refused, "uniqueness")));
        let group =
            told("Toys is taken.", named("Toys", request("POST", "/scim/v2/Groups", Outcome::Refused, "uniqueness")));
        assert_eq!(keys(&[user, group], STATE), ["uniqueness", "uniqueness"]);
        // Each attribute is a mistake of its own, but a page full of them helps nobody.
        let many: Vec<_> = ('a'..'h')
            .map(|letter| {
                told(
                    &format!("{letter} is wrong."),
                    request("PATCH", "/scim/v2/Users/1", Outcome::Refused, "invalidPath"),
                )
            })
            .collect();
        assert_eq!(keys(&many, STATE).len(), ALIKE);
    }

    #[test]
    fn the_base_url_alone_is_no_mistake() {
        let finding = of_request(&request("GET", "/scim/v2", Outcome::Refused, "base_url_only"), okta()).expect("told");
        assert!(finding.tone == Tone::Hint && finding.title.starts_with("The base URL is right"), "{finding:?}");
        let mut nothing = request("GET", "/scim/v2/nothing", Outcome::Refused, "not_found");
        nothing.resource_type = String::new();
        let finding = of_request(&nothing, okta()).expect("told");
        assert!(finding.text.contains("/Users and /Groups"), "{finding:?}");
    }

    #[test]
    fn nobody_is_told_to_use_a_command_line() {
        for reason in ["scope", "rate_limit", "invalidPath", "plan"] {
            let detail = "This token lacks the scope users:write, which the request needs. An administrator can make one that \
                          has it: rollcall token create ORG.";
            let wrong = request("POST", "/scim/v2/Users", Outcome::Refused, reason);
            let wrong = if reason == "scope" { told(detail, wrong) } else { wrong };
            let finding = of_request(&wrong, okta()).expect("told");
            assert!(!finding.text.contains("rollcall "), "{finding:?}");
        }
    }

    #[test]
    fn a_finding_leads_to_the_page_it_names() {
        let leads = |reason: &str, path: &str| {
            let finding = of_request(&request("POST", path, Outcome::Refused, reason), okta()).expect("told");
            finding.page.map(|(page, _)| page).unwrap_or_default()
        };
        assert_eq!(leads("token_expired", "/scim/v2/Users"), "scim/tokens");
        assert_eq!(leads("scim_off", "/scim/v2/Users"), "scim");
        assert_eq!(leads("uniqueness", "/scim/v2/Users"), "users?q=kit%40example.com");
        assert_eq!(leads("uniqueness", "/scim/v2/Groups"), "groups?q=kit%40example.com");
        assert_eq!(leads("mutability", "/scim/v2/Users"), "");
    }

    #[test]
    fn a_silent_no_op_is_a_finding_where_something_was_ignored() {
        let no_op = request("PATCH", "/Users/1", Outcome::Unchanged, "");
        assert_eq!(
            of_request(&LoggedRequest { detail: String::new(), ..no_op.clone() }, okta()),
            None,
            "an identical update"
        );
        let ignored = LoggedRequest { ignored: vec!["shoeSize".to_owned()], detail: String::new(), ..no_op };
        let finding = of_request(&ignored, okta()).expect("a finding");
        assert_eq!((finding.tone, finding.key.as_str()), (Tone::Hint, "unchanged"));
        assert!(finding.text.contains("shoeSize") && finding.place.contains("Attribute Mappings"), "{finding:?}");
        let in_part = LoggedRequest { outcome: Outcome::Changed.into(), ..ignored.clone() };
        let finding = of_request(&in_part, okta()).expect("a finding");
        assert_eq!((finding.tone, finding.key.as_str()), (Tone::Hint, "ignored"));
        let clean = LoggedRequest { ignored: Vec::new(), ..in_part.clone() };
        assert_eq!(keys(&[ignored, in_part, clean], STATE), ["works"], "the mapping was taken out");
    }
}
