//! Connection guides: for each identity provider its screens in its own words, with this organization's values.
//!
//! Where a word comes from: the providers' own manuals and guides for their administrators, as of 2026.

use askama::Template;
use axum::{extract::Path, response::Response};
use http::StatusCode;

use super::scim_shell;
use crate::{
    page::{self, Shell},
    problem::{Problem, Result},
    session::{Role, SignedIn},
};

/// One provider's.
pub(crate) struct Guide {
    pub(crate) slug: &'static str,
    pub(crate) name: &'static str,
    intro: &'static str,
    steps: &'static [Step],
    /// What shows that it works.
    test: &'static [&'static str],
    /// What its messages mean.
    troubles: &'static [(&'static str, &'static str)],
}

struct Step {
    title: &'static str,
    text: &'static str,
    fields: &'static [(&'static str, Value)],
}

/// What stands in a box.
#[derive(Clone, Copy)]
enum Value {
    /// The SCIM URL.
    ScimUrl,
    /// A token of this organization, which is shown once.
    Token,
    /// A choice, or a text that is the same for all.
    Text(&'static str),
}

use Value::{ScimUrl, Text, Token};

const fn step(title: &'static str, text: &'static str, fields: &'static [(&'static str, Value)]) -> Step {
    Step { title, text, fields }
}

/// In the order of the page that links them.
pub(crate) const GUIDES: &[Guide] = &[
    Guide {
        slug: "okta",
        name: "Okta",
        intro: "For an app of Okta's App Integration Wizard. Okta reaches this server from the internet, over https.",
        steps: &[
            step(
                "Switch SCIM on for the app",
                "In the Okta Admin Console: Applications > Applications > your app > General > App Settings > Edit. Choose SCIM and \
                 save. No app yet? Create App Integration > SAML 2.0 or SWA first: the choice appears on its General tab.",
                &[("Provisioning", Text("SCIM"))],
            ),
            step(
                "Enter the connection",
                "Provisioning > Integration > Edit. Okta writes Bearer in front of the token by itself.",
                &[
                    ("SCIM connector base URL", ScimUrl),
                    ("Unique identifier field for users", Text("email")),
                    ("Supported provisioning actions", Text("Push New Users, Push Profile Updates, Push Groups")),
                    ("Authentication Mode", Text("HTTP Header")),
                    ("Authorization", Token),
                ],
            ),
            step(
                "Test Connector Configuration",
                "Press it. Every action that you chose gets a green check mark. Close, then Save.",
                &[],
            ),
            step(
                "Say what Okta may do",
                "Provisioning > To App > Edit. Without Deactivate Users, people who leave stay active here.",
                &[
                    ("Create Users", Text("Enable")),
                    ("Update User Attributes", Text("Enable")),
                    ("Deactivate Users", Text("Enable")),
                    ("Sync Password", Text("leave it off: passwords are thrown away here")),
                ],
            ),
            step(
                "Assign people and push groups",
                "Assignments > Assign > Assign to Groups. Then Push Groups > Push Groups > Find groups by name. Assign people before \
                 you push their groups: a group push makes nobody.",
                &[],
            ),
        ],
        test: &[
            "Assign one person. Within a minute Users shows them as active.",
            "Unassign the person. Within a minute they are inactive here, with the same id.",
            "Push one small group. Groups shows it with its members.",
        ],
        troubles: &[
            (
                "401, authorization failed",
                "The token is revoked, expired or not allowed from Okta's address, or Bearer was typed in front of it.",
            ),
            ("403", "SCIM provisioning is off, the plan has ended, or the token lacks a scope."),
            ("404", "The base URL lacks /scim/v2."),
            ("409 on a push", "A user or group of that name exists here. Okta can link it: Push Groups > Link Group."),
        ],
    },
    Guide {
        slug: "entra",
        name: "Microsoft Entra ID",
        intro: "For an enterprise application. A non-gallery one will do: Create your own application > Integrate any other application \
                you don't find in the gallery.",
        steps: &[
            step(
                "Begin provisioning",
                "In the Microsoft Entra admin center: Enterprise apps > your app > Provisioning > New configuration. In older tenants: \
                 Provisioning Mode: Automatic > Admin Credentials.",
                &[],
            ),
            step(
                "Enter the connection",
                "The flag ?aadOptscim062020 may be appended to the Tenant URL. It is not needed: both of Entra's dialects are understood.",
                &[
                    ("Select authentication method", Text("Bearer authentication")),
                    ("Tenant URL", ScimUrl),
                    ("Secret Token", Token),
                ],
            ),
            step(
                "Test Connection",
                "Press it. Entra looks for a user that cannot exist and wants an empty list. Then Create, or Save.",
                &[],
            ),
            step(
                "Check the mappings",
                "Provisioning > Attribute mapping > Provision Microsoft Entra ID Users. People are found again by the matching attribute.",
                &[
                    ("userName (matching precedence 1)", Text("userPrincipalName")),
                    ("externalId", Text("objectId")),
                    ("active", Text("Switch([IsSoftDeleted], , \"False\", \"True\", \"True\", \"False\")")),
                ],
            ),
            step(
                "Assign people and groups, then start",
                "Users and groups > Add user/group. Then Provisioning > Overview > Start provisioning. A cycle takes place about every 40 \
                 minutes; Provision on demand does one person at once.",
                &[],
            ),
        ],
        test: &[
            "Provision on demand for one person. Users shows them at once.",
            "Remove the assignment and provision on demand again: the person is inactive here.",
            "Provision on demand for a group with a few members.",
        ],
        troubles: &[
            ("Test Connection fails with 401", "The Secret Token is not whole, revoked or expired."),
            ("Test Connection fails with 404", "The Tenant URL lacks /scim/v2."),
            (
                "Quarantine",
                "Entra stopped after many errors. Look at its provisioning log, put the cause right, then Restart provisioning.",
            ),
        ],
    },
    Guide {
        slug: "jumpcloud",
        name: "JumpCloud",
        intro: "For an SSO application with identity management. Test Connection makes a test user and a test group here, and deletes both.",
        steps: &[
            step(
                "Open the application",
                "In the JumpCloud Admin Portal: SSO Applications > Add New Application > Custom Application, with Export users to this app \
                 (Identity Management). Or open one that there is, on its Identity Management tab.",
                &[],
            ),
            step(
                "Enter the connection",
                "Identity Management > Configuration Settings.",
                &[
                    ("API Type", Text("SCIM API")),
                    ("SCIM Version", Text("SCIM 2.0")),
                    ("Base URL", ScimUrl),
                    ("Token Key", Token),
                    ("Test User Email", Text("an address that nobody here has")),
                ],
            ),
            step(
                "Test and activate",
                "Press Test Connection, then Activate, then Save. For groups keep Enable management of User Groups and Group Membership in \
                 this application.",
                &[],
            ),
            step("Choose the groups", "User Groups: check those whose members are to come here, and save.", &[]),
        ],
        test: &[
            "Add one person to a chosen group. Users shows them.",
            "Take the person out of the group: they are inactive here.",
        ],
        troubles: &[(
            "Test Connection fails",
            "SCIM provisioning is off, the token is not whole, or the test address belongs to somebody here.",
        )],
    },
    Guide {
        slug: "onelogin",
        name: "OneLogin",
        intro: "For an app made of the connector SCIM Provisioner with SAML (SCIM v2 Core), or (SCIM v2 Enterprise) for departments and \
                managers.",
        steps: &[
            step(
                "Add the app",
                "In the OneLogin administration: Applications > Add App, look for SCIM, choose SCIM Provisioner with SAML (SCIM v2 \
                 Enterprise), and save.",
                &[],
            ),
            step(
                "Enter the connection",
                "Configuration tab. Keep the SCIM JSON Template of the connector as it is.",
                &[("SCIM Base URL", ScimUrl), ("SCIM Bearer Token", Token), ("API Connection", Text("Enable"))],
            ),
            step(
                "Choose the user name",
                "Parameters tab.",
                &[("scimusername", Text("Email")), ("Groups", Text("Include in User Provisioning"))],
            ),
            step(
                "Switch provisioning on",
                "Provisioning tab. Clear the boxes below Require admin approval if changes are to go by themselves.",
                &[
                    ("Enable provisioning", Text("checked")),
                    ("When users are deleted in OneLogin, or the user's app access is removed", Text("Suspend")),
                ],
            ),
            step("Assign people", "Access tab: choose the roles whose members are to come here.", &[]),
        ],
        test: &[
            "Give one person the role. Users > Provisioning in OneLogin, and Users here, show them.",
            "Take the role away: the person is inactive here.",
        ],
        troubles: &[(
            "API Connection does not enable",
            "The base URL lacks /scim/v2, SCIM provisioning is off, or the token is not whole.",
        )],
    },
    Guide {
        slug: "google",
        name: "Google Workspace",
        intro: "Google Workspace provisions to apps of its own catalogue only: a custom SAML app has no Auto-provisioning section, and there \
                is nothing to set up by hand. What follows holds where your product is in that catalogue. Otherwise let Okta, JumpCloud or \
                another directory that reads Google Workspace provision to Rollcall.",
        steps: &[
            step(
                "Open the app",
                "In the Google Admin console: Apps > Web and mobile apps > your app > Auto-provisioning > Configure auto-provisioning.",
                &[],
            ),
            step("Enter the connection", "App authorization.", &[("Access token", Token), ("Endpoint URL", ScimUrl)]),
            step(
                "Check the attributes",
                "Those marked with an asterisk have to be mapped.",
                &[("userName", Text("Basic Information > Primary Email"))],
            ),
            step(
                "Choose what happens to who leaves",
                "Deprovisioning: choose the shortest delay for each case. Until it has passed, the person stays active here.",
                &[("When a user is suspended", Text("within 24 hours"))],
            ),
            step("Switch it on", "Auto-provisioning > the switch.", &[]),
        ],
        test: &["Give one person access to the app. Users shows them after a while: Google does not say when."],
        troubles: &[(
            "There is no Auto-provisioning section",
            "The app is a custom one. Google cannot provision to it.",
        )],
    },
    Guide {
        slug: "pingone",
        name: "PingOne",
        intro: "For a connection of the kind SCIM Outbound, and a rule that says who goes through it.",
        steps: &[
            step(
                "Make a connection",
                "In the PingOne admin console: Integrations > Provisioning > + > New connection > Identity Store > SCIM Outbound.",
                &[],
            ),
            step(
                "Enter the connection",
                "Configure authentication. Then Test Connection.",
                &[
                    ("SCIM base URL", ScimUrl),
                    ("Users resource", Text("/Users")),
                    ("SCIM version", Text("2.0")),
                    ("Groups resource", Text("/Groups")),
                    ("Authentication method", Text("OAuth 2 Bearer Token")),
                    ("OAuth access token", Token),
                    ("Auth type header", Text("Bearer")),
                ],
            ),
            step(
                "Say how people are found, and what it may do",
                "Configure preferences.",
                &[
                    ("User Filter Expression", Text("userName Eq \"%s\"")),
                    ("User Identifier", Text("userName")),
                    ("Allow users to be created, updated, disabled", Text("on")),
                    ("Remove action", Text("Disable")),
                ],
            ),
            step(
                "Make a rule",
                "Provisioning > Rules > +, with PingOne as the source and the connection as the target. Set a user filter, map the \
                 attributes, then switch on both the connection and the rule.",
                &[],
            ),
        ],
        test: &[
            "Let the filter match one person. The rule's Sync status, and Users here, show them.",
            "Disable the person in PingOne: they are inactive here.",
        ],
        troubles: &[(
            "Test Connection fails",
            "The base URL lacks /scim/v2, SCIM provisioning is off, or the token is not whole.",
        )],
    },
];

struct Shown {
    title: &'static str,
    text: &'static str,
    fields: Vec<Field>,
}

struct Field {
    id: String,
    label: &'static str,
    value: String,
    /// Something to copy as it stands.
    literal: bool,
    token: bool,
}

#[derive(Template)]
#[template(path = "guide.html")]
struct GuidePage {
    shell: Shell,
    guide: &'static Guide,
    steps: Vec<Shown>,
    enabled: bool,
    https: bool,
    may_change: bool,
}

/// `GET scim/guides/{provider}`
pub(crate) async fn show(signed_in: SignedIn, Path(slug): Path<String>) -> Result<Response> {
    let guide = GUIDES.iter().find(|guide| guide.slug == slug).ok_or_else(Problem::not_found)?;
    let site = &signed_in.visit.console.site;
    let field = |step: usize, number: usize, (label, value): &(&'static str, Value)| Field {
        id: format!("field-{step}-{number}"),
        label,
        value: match value {
            ScimUrl => site.scim_url(),
            Token => String::new(),
            Text(text) => (*text).to_owned(),
        },
        literal: matches!(value, ScimUrl),
        token: matches!(value, Token),
    };
    let steps = guide.steps.iter().enumerate().map(|(step_number, step)| Shown {
        title: step.title,
        text: step.text,
        fields: step.fields.iter().enumerate().map(|(number, pair)| field(step_number, number, pair)).collect(),
    });
    let page = GuidePage {
        shell: scim_shell(&signed_in, format!("Connect {}", guide.name)),
        guide,
        steps: steps.collect(),
        enabled: signed_in.organization.scim_enabled && signed_in.organization.scim_entitled,
        https: site.public_url.starts_with("https://"),
        may_change: signed_in.role >= Role::Admin,
    };
    page::html(StatusCode::OK, &page)
}
