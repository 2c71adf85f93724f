//! What a provider's requests say about how it is set up: which box is wrong, in the words of its own screens, and what to do.
//!
//! Not here: how requests come to be known (the provisioning log), and how this is shown (`pages::assistant`, `pages::log`).

use wire::identity::{LoggedRequest, Outcome};

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
    /// Of this kind; one of each is shown.
    pub(crate) key: String,
    pub(crate) tone: Tone,
    pub(crate) title: String,
    pub(crate) text: String,
    /// Where, in the provider's words. Empty: nowhere there.
    pub(crate) place: String,
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
    pub(crate) valid_tokens: usize,
}

/// Of one request that was refused or changed nothing; `None`: there is nothing to say.
pub(crate) fn of_request(request: &LoggedRequest, provider: &Boxes) -> Option<Finding> {
    let (base_url, token, name) = (provider.base_url, provider.token, provider.name);
    let say = |title: String, text: String, place: &str| {
        let key = if request.reason.is_empty() { "unchanged" } else { &request.reason };
        Some(Finding {
            key: key.to_owned(),
            tone: if request.outcome() == Outcome::Unchanged { Tone::Hint } else { Tone::Bad },
            title,
            text,
            place: place.to_owned(),
            request_id: request.id.clone(),
        })
    };
    let told = &request.detail;
    let who = if request.subject_name.is_empty() { "a user or group" } else { &request.subject_name };
    match &*request.reason {
        "base_url" => say(
            "The base URL lacks /scim/v2".into(),
            format!("{name} asked for {}, where there is nothing. Paste the whole SCIM URL of this page.", request.path),
            base_url,
        ),
        "base_url_version" => say(
            "The base URL does not end in /scim/v2".into(),
            format!("{name} asked for {}. This is SCIM 2.0 under /scim/v2. Paste the whole SCIM URL.", request.path),
            base_url,
        ),
        "base_url_twice" => say(
            "The base URL has /scim/v2 twice".into(),
            format!("{name} asked for {}. Paste the SCIM URL as it is and add nothing to it.", request.path),
            base_url,
        ),
        "base_url_endpoint" => say(
            "The base URL ends in an endpoint".into(),
            format!("{name} asked for {}: it adds /Users and /Groups by itself. Let the URL end in /scim/v2.", request.path),
            base_url,
        ),
        "base_url_case" => say(
            "An endpoint is in the wrong letter case".into(),
            format!("{name} asked for {}. They are /Users and /Groups, in this spelling.", request.path),
            base_url,
        ),
        "bearer_twice" => say(
            "\"Bearer\" stands twice in front of the token".into(),
            format!("{name} writes Bearer by itself. Paste the token alone, from rc_scim_ on."),
            token,
        ),
        "no_bearer" => say(
            "The token comes without Bearer".into(),
            format!("{name} sent the token in another way than \"Authorization: Bearer\". Choose bearer token, or HTTP header, as the \
                     authentication, and paste the token alone."),
            token,
        ),
        "basic" => say(
            "The token comes as a password".into(),
            format!("{name} uses Basic Auth with a user name and a password. Choose HTTP header or bearer token instead, and paste the \
                     token there."),
            token,
        ),
        "malformed_token" => say(
            "There is something around the token".into(),
            "Quotes, spaces or line breaks came with it. Paste the token alone, from rc_scim_ to its end.".into(),
            token,
        ),
        "two_credentials" => say(
            "Two credentials came at once".into(),
            format!("{name} or a proxy in front sends two Authorization headers. Leave only the one with the SCIM token."),
            token,
        ),
        "token_expired" => say(
            "The token has expired".into(),
            "Create another one under SCIM tokens, or rotate it before its time next time, and paste it.".into(),
            token,
        ),
        "token_revoked" => say(
            "The token was revoked".into(),
            "Somebody revoked or retired it here. Create another one under SCIM tokens and paste it.".into(),
            token,
        ),
        "token_network" => say(
            "The token is not allowed from this address".into(),
            format!("The request came from {}, which is not among the token's networks. Create a token that has this network, or has \
                     none named.", if request.address.is_empty() { "an unknown address" } else { &request.address }),
            token,
        ),
        "token" => say("The token is not valid".into(), "Create another one under SCIM tokens and paste it.".into(), token),
        "scope" => say("The token lacks a scope".into(), told.clone(), token),
        "scim_off" => say(
            "SCIM provisioning is off".into(),
            "The token is right, and everything is refused until SCIM provisioning is switched on under SCIM Configuration.".into(),
            "",
        ),
        "plan" => say("The plan does not include this".into(), told.clone(), ""),
        "rate_limit" => say(
            "Requests come too fast".into(),
            format!("{name} is asked to wait and tries again by itself. If it stays so, have the organization's limit raised: rollcall \
                     org limit."),
            "",
        ),
        "invalidFilter" => say(
            "A look-up asks for an attribute that is not there".into(),
            format!("{told} The unique identifier, or matching attribute, has to be one that users have, such as userName."),
            provider.identifier,
        ),
        "invalidPath" => say(
            "A mapping names an attribute that is not there".into(),
            format!("{told} Take the mapping out, or have a schema added that has the attribute: rollcall schema add."),
            provider.mapping,
        ),
        "invalidValue" if request.resource_type == "Group" && told.contains("member") => say(
            "A group has members that are not here yet".into(),
            format!("{told} Assign its people to the app first, then push the group."),
            provider.assign,
        ),
        "invalidValue" => say("A value cannot be taken".into(), format!("{who}: {told}"), provider.mapping),
        "invalidSyntax" => say("What was sent cannot be read".into(), told.clone(), provider.mapping),
        "mutability" => say("A mapping writes what cannot be written".into(), told.clone(), provider.mapping),
        "noTarget" => say("A change is about a value that is not there".into(), told.clone(), provider.mapping),
        "uniqueness" if request.resource_type == "Group" => say(
            "A group of that name is here already".into(),
            format!("{told} Link the pushed group to the one that is here, or rename one of them."),
            provider.groups,
        ),
        "uniqueness" => say(
            "Somebody with that user name is here already".into(),
            format!("{who}: {told} {name} has to look them up by the same attribute that it creates them with; then it links them."),
            provider.identifier,
        ),
        "not_found" => say(
            "It asks for somebody who is not here".into(),
            format!("{name} keeps the id of a user or group of another organization, or of one that was deleted. Unassign and assign \
                     again, or import afresh, so that it looks them up."),
            provider.assign,
        ),
        "media_type" => say("The body is not JSON".into(), format!("{told} Choose SCIM 2.0 as the version."), base_url),
        "method" => say("A request that SCIM does not have".into(), told.clone(), base_url),
        "too_large" | "too_long" => say("A request is too large".into(), told.clone(), ""),
        "precondition" => say("Somebody else changed it meanwhile".into(), told.clone(), ""),
        "unavailable" | "internal" => {
            say("The fault is on our side".into(), format!("{told} Request id {}.", request.request_id), "")
        }
        "" if request.outcome() == Outcome::Unchanged && !request.ignored.is_empty() => say(
            "A change was asked for that changes nothing here".into(),
            format!("{who}: no schema has {}, so it was ignored. Take the mapping out, or have a schema added: rollcall schema add.",
                    request.ignored.join(", ")),
            provider.mapping,
        ),
        "" => None,
        _ => say("A request was refused".into(), told.clone(), ""),
    }
}

/// Of what came in so far, the oldest first. The worst comes first; without requests, what is in their way.
pub(crate) fn of_all(requests: &[LoggedRequest], state: State, provider: &Boxes) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    let mut add = |finding: Finding| {
        if !findings.iter().any(|known| known.key == finding.key) {
            findings.push(finding);
        }
    };
    let hint = |key: &str, tone: Tone, title: &str, text: String, place: &str| Finding {
        key: key.to_owned(),
        tone,
        title: title.to_owned(),
        text,
        place: place.to_owned(),
        request_id: String::new(),
    };
    if !state.scim_entitled {
        let text = "Whoever runs Rollcall changes the plan. Until then everything is refused.".to_owned();
        add(hint("plan", Tone::Bad, "SCIM is not part of your plan", text, ""));
    } else if !state.scim_enabled {
        let text = "Everything is refused until it is switched on under SCIM Configuration.".to_owned();
        add(hint("scim_off", Tone::Bad, "SCIM provisioning is off", text, ""));
    }
    if state.valid_tokens == 0 {
        let text = "Nothing can be let in. Create a token under SCIM tokens, and paste it.".to_owned();
        add(hint("no_token", Tone::Bad, "There is no valid token", text, provider.token));
    }
    // What was put right since is not said any more: a later request got through the same door.
    let lets_in = requests.iter().rposition(|request| !request.token_id.is_empty() && !at_the_door(&request.reason));
    for (n, request) in requests.iter().enumerate().rev() {
        let mended = at_the_door(&request.reason) && lets_in.is_some_and(|later| later > n);
        if !mended && let Some(finding) = of_request(request, provider) {
            add(finding);
        }
    }
    let accepted =
        |request: &&LoggedRequest| matches!(request.outcome(), Outcome::Read | Outcome::Changed | Outcome::Unchanged);
    let good: Vec<&LoggedRequest> = requests.iter().filter(accepted).collect();
    let wrote = |kind: &str, method: &str| good.iter().any(|one| one.resource_type == kind && one.method == method);
    let (posted, groups) = (wrote("User", "POST"), good.iter().any(|one| one.resource_type == "Group"));
    if requests.is_empty() {
        let text = format!(
            "Press {} now. If nothing shows here within ten seconds, {} does not reach this server, or the token is not one of this \
             organization or was not copied whole: compare the host of the SCIM URL letter by letter, and paste the token again.",
            provider.test, provider.name
        );
        add(hint("nothing", Tone::Hint, "Nothing has come in yet", text, provider.base_url));
    }
    if posted && !groups && provider.slug != "google" {
        let text = "People arrive, and no group has been asked for or sent. If groups are to come here, they are switched on apart.";
        add(hint("no_groups", Tone::Hint, "No groups are pushed", text.to_owned(), provider.groups));
    }
    if !good.is_empty() && !posted && !wrote("User", "PATCH") && !wrote("User", "PUT") && !groups {
        let text = format!("{} gets in and reads. Assign one person to see them arrive.", provider.name);
        add(hint("reads_only", Tone::Good, "The connection works, nobody is assigned yet", text, provider.assign));
    }
    if groups && wrote("Group", "POST") && !posted && !wrote("User", "PUT") && !wrote("User", "PATCH") {
        let text = "A group push makes nobody: its people have to be assigned, too.".to_owned();
        add(hint("groups_only", Tone::Hint, "Groups arrive without people", text, provider.assign));
    }
    if wrote("User", "PUT") && !wrote("User", "PATCH") && provider.slug == "okta" {
        let text = "Okta sends whole users by PUT, as apps of its App Integration Wizard do. Nothing is wrong with that: a mapping that \
                    is taken out empties the attribute here.";
        add(hint("put_only", Tone::Good, "This app replaces whole users", text.to_owned(), ""));
    }
    if let Some(request) = good.iter().rev().find(|one| plain_user_name(one)) {
        let text = format!(
            "{} is no e-mail address. If the unique identifier is to be the e-mail address, map it to userName.",
            request.subject_name
        );
        let mut finding =
            hint("user_name", Tone::Hint, "User names are no e-mail addresses", text, provider.identifier);
        finding.request_id.clone_from(&request.id);
        add(finding);
    }
    let bad = findings.iter().any(|finding| finding.tone == Tone::Bad);
    if !bad && good.iter().any(|one| one.outcome() == Outcome::Changed) {
        let text = format!("{} gets in, and what it sends is taken.", provider.name);
        findings.push(hint("works", Tone::Good, "Provisioning works", text, ""));
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.tone));
    findings
}

/// Wrong with how a client comes in, not with what it wants.
fn at_the_door(reason: &str) -> bool {
    let doors = [
        "base_url",
        "bearer_twice",
        "no_bearer",
        "basic",
        "malformed_token",
        "two_credentials",
        "token",
        "scim_off",
        "no_credential",
    ];
    doors.iter().any(|door| reason.starts_with(door))
}

fn plain_user_name(request: &LoggedRequest) -> bool {
    let names = request.resource_type == "User" && request.method == "POST";
    names && !request.subject_name.is_empty() && !request.subject_name.contains('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATE: State = State { scim_enabled: true, scim_entitled: true, valid_tokens: 1 };

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
            token_id: if at_the_door(reason) { String::new() } else { "t".to_owned() },
            ..LoggedRequest::default()
        }
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
        assert_eq!(keys(&[], State { valid_tokens: 0, ..STATE }), ["no_token", "nothing"]);
        let read = request("GET", "/Users", Outcome::Read, "");
        assert_eq!(keys(std::slice::from_ref(&read), STATE), ["reads_only"]);
        let posted = request("POST", "/Users", Outcome::Changed, "");
        assert_eq!(keys(&[read.clone(), posted.clone()], STATE), ["no_groups", "works"]);
        let group = request("POST", "/Groups", Outcome::Changed, "");
        assert_eq!(keys(&[read, posted, group.clone()], STATE), ["works"]);
        assert_eq!(keys(&[group], STATE), ["groups_only", "works"]);
        let put = request("PUT", "/Users/1", Outcome::Changed, "");
        assert_eq!(keys(&[put], STATE), ["put_only", "works"]);
        let named = LoggedRequest { subject_name: "kit".to_owned(), ..request("POST", "/Users", Outcome::Changed, "") };
        assert_eq!(keys(&[named], STATE), ["no_groups", "user_name", "works"]);
    }

    #[test]
    fn what_was_put_right_is_not_said_any_more() {
        let wrong = request("GET", "/Users", Outcome::Refused, "bearer_twice");
        let right = request("GET", "/Users", Outcome::Read, "");
        assert_eq!(keys(&[wrong.clone(), right.clone()], STATE), ["reads_only"]);
        assert_eq!(keys(&[right, wrong], STATE), ["bearer_twice", "reads_only"]);
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
    }
}
