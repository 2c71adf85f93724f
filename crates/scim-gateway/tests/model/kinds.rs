//! What users and groups are and what a request makes of them, told anew and naively: nothing here is of the `scim` crate.

use std::{collections::BTreeSet, fmt::Debug, hash::Hash};

use serde_json::{Map, Value, json};

pub(crate) const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
pub(crate) const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";

/// Status and `scimType`.
pub(crate) type Refused = (u16, Option<&'static str>);

pub(crate) const NOT_FOUND: Refused = (404, None);
pub(crate) const STALE: Refused = (412, None);
pub(crate) const TAKEN: Refused = (409, Some("uniqueness"));
const INVALID_VALUE: Refused = (400, Some("invalidValue"));
const NO_TARGET: Refused = (400, Some("noTarget"));
const INVALID_PATH: Refused = (400, Some("invalidPath"));

/// Ids that were deleted.
pub(crate) type Gone = BTreeSet<String>;

/// A type of resource; a value is what clients can see of one, less what the server assigns.
pub(crate) trait Kind: Clone + Eq + Hash + Debug {
    /// What a POST or PUT asserts.
    type Body: Clone + Debug;
    /// One operation of a PATCH.
    type Change: Clone + Debug;

    const ENDPOINT: &'static str;
    const TYPE: &'static str;
    const SCHEMA: &'static str;
    /// The attribute whose value no two have.
    const NAME: &'static str;
    /// A PATCH is answered with the resource unasked.
    const PATCH_SHOWS: bool;

    fn created(body: &Self::Body, gone: &Gone) -> Result<Self, Refused>;
    fn replace(&mut self, id: &str, body: &Self::Body, gone: &Gone) -> Result<(), Refused>;
    fn change(&mut self, id: &str, change: &Self::Change, gone: &Gone) -> Result<(), Refused>;
    /// A user or group is deleted that may have been a member.
    fn forget(&mut self, id: &str);

    fn name(&self) -> &str;
    fn name_of(body: &Self::Body) -> &str;
    /// The name that a PATCH sets, if it does.
    fn renamed(change: &Self::Change) -> Option<&str>;

    fn body(body: &Self::Body) -> Value;
    fn operation(change: &Self::Change) -> Value;
    /// The attributes as they are shown.
    fn attributes(&self, base: &str, groups: &BTreeSet<String>) -> Map<String, Value>;
}

/// As names are compared.
pub(crate) fn folded(name: &str) -> String {
    name.to_lowercase()
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Email {
    pub(crate) value: String,
    pub(crate) kind: &'static str,
    pub(crate) primary: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct User {
    pub(crate) user_name: String,
    pub(crate) title: Option<String>,
    pub(crate) nick_name: Option<String>,
    pub(crate) family_name: Option<String>,
    pub(crate) active: Option<bool>,
    pub(crate) emails: Vec<Email>,
}

/// The ways in which the test changes a user.
#[derive(Clone, Debug)]
pub(crate) enum UserChange {
    UserName(String),
    /// By `add`.
    AddTitle(String),
    /// By `replace`; null takes it away.
    Title(Option<String>),
    RemoveTitle,
    /// With the whole name of the attribute.
    NickName(String),
    FamilyName(String),
    /// As Entra writes it, in a string.
    Active(bool),
    /// Without a path.
    TitleAndActive(String, bool),
    AddEmail(Email),
    Emails(Vec<Email>),
    RemoveEmails(&'static str),
    EmailValue(&'static str, String),
    /// `replace` of a value that nobody has.
    Fax(String),
    Unknown,
    RemoveUserName,
}

impl Kind for User {
    type Body = Self;
    type Change = UserChange;

    const ENDPOINT: &'static str = "/Users";
    const TYPE: &'static str = "User";
    const SCHEMA: &'static str = USER;
    const NAME: &'static str = "userName";
    const PATCH_SHOWS: bool = true;

    /// Active unless the body says otherwise.
    fn created(body: &Self, _: &Gone) -> Result<Self, Refused> {
        Ok(Self { active: body.active.or(Some(true)), ..body.clone() })
    }

    /// Whoever is inactive stays so unless the body says otherwise.
    fn replace(&mut self, _: &str, body: &Self, _: &Gone) -> Result<(), Refused> {
        *self = Self { active: body.active.or(self.active), ..body.clone() };
        Ok(())
    }

    fn change(&mut self, _: &str, change: &UserChange, _: &Gone) -> Result<(), Refused> {
        match change {
            UserChange::UserName(name) => self.user_name.clone_from(name),
            UserChange::AddTitle(title) => self.title = Some(title.clone()),
            UserChange::Title(title) => self.title.clone_from(title),
            UserChange::RemoveTitle => self.title = None,
            UserChange::NickName(name) => self.nick_name = Some(name.clone()),
            UserChange::FamilyName(name) => self.family_name = Some(name.clone()),
            UserChange::Active(active) => self.active = Some(*active),
            UserChange::TitleAndActive(title, active) => {
                self.title = Some(title.clone());
                self.active = Some(*active);
            }
            UserChange::AddEmail(email) => self.add_email(email),
            UserChange::Emails(emails) => self.emails.clone_from(emails),
            UserChange::RemoveEmails(kind) => self.emails.retain(|email| email.kind != *kind),
            UserChange::EmailValue(kind, value) => {
                let mut found = false;
                for email in self.emails.iter_mut().filter(|email| email.kind == *kind) {
                    email.value.clone_from(value);
                    found = true;
                }
                if !found {
                    self.emails.push(Email { value: value.clone(), kind, primary: None });
                }
            }
            UserChange::Fax(_) => return Err(NO_TARGET),
            UserChange::Unknown => return Err(INVALID_PATH),
            UserChange::RemoveUserName => return Err((400, Some("mutability"))),
        }
        self.each_email_once();
        Ok(())
    }

    fn forget(&mut self, _: &str) {}

    fn name(&self) -> &str {
        &self.user_name
    }

    fn name_of(body: &Self) -> &str {
        &body.user_name
    }

    fn renamed(change: &UserChange) -> Option<&str> {
        match change {
            UserChange::UserName(name) => Some(name),
            _ => None,
        }
    }

    fn body(body: &Self) -> Value {
        let mut attributes = body.attributes("", &BTreeSet::new());
        attributes.insert("schemas".to_owned(), json!([USER]));
        Value::Object(attributes)
    }

    fn operation(change: &UserChange) -> Value {
        match change {
            UserChange::UserName(name) => json!({"op": "replace", "path": "userName", "value": name}),
            UserChange::AddTitle(title) => json!({"op": "add", "path": "title", "value": title}),
            UserChange::Title(title) => json!({"op": "Replace", "path": "title", "value": title}),
            UserChange::RemoveTitle => json!({"op": "remove", "path": "title"}),
            UserChange::NickName(name) => {
                json!({"op": "add", "path": format!("{USER}:nickName"), "value": name})
            }
            UserChange::FamilyName(name) => json!({"op": "replace", "path": "name.familyName", "value": name}),
            UserChange::Active(active) => {
                json!({"op": "Replace", "path": "active", "value": if *active { "True" } else { "False" }})
            }
            UserChange::TitleAndActive(title, active) => {
                json!({"op": "replace", "value": {"title": title, "active": active}})
            }
            UserChange::AddEmail(email) => json!({"op": "add", "path": "emails", "value": [email.json()]}),
            UserChange::Emails(emails) => json!({"op": "replace", "path": "emails", "value": emails_json(emails)}),
            UserChange::RemoveEmails(kind) => json!({"op": "remove", "path": format!("emails[type eq \"{kind}\"]")}),
            UserChange::EmailValue(kind, value) => {
                json!({"op": "replace", "path": format!("emails[type eq \"{kind}\"].value"), "value": value})
            }
            UserChange::Fax(value) => {
                json!({"op": "replace", "path": "phoneNumbers[value eq \"none\"].value", "value": value})
            }
            UserChange::Unknown => json!({"op": "replace", "path": "boat", "value": "x"}),
            UserChange::RemoveUserName => json!({"op": "remove", "path": "userName"}),
        }
    }

    fn attributes(&self, _: &str, _: &BTreeSet<String>) -> Map<String, Value> {
        let mut shown = Map::new();
        let mut show = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                shown.insert(name.to_owned(), value);
            }
        };
        show("userName", Some(json!(self.user_name)));
        show("title", self.title.as_ref().map(|title| json!(title)));
        show("nickName", self.nick_name.as_ref().map(|name| json!(name)));
        show("name", self.family_name.as_ref().map(|name| json!({"familyName": name})));
        show("active", self.active.map(Value::from));
        show("emails", (!self.emails.is_empty()).then(|| emails_json(&self.emails)));
        shown
    }
}

impl User {
    /// One of that value and type is kept, and may become the primary one.
    fn add_email(&mut self, new: &Email) {
        let at = self.emails.iter().position(|email| email.value == new.value && email.kind == new.kind);
        let at = at.unwrap_or_else(|| {
            self.emails.push(Email { primary: None, ..new.clone() });
            self.emails.len() - 1
        });
        if new.primary == Some(true) {
            for email in self.emails.iter_mut().filter(|email| email.primary == Some(true)) {
                email.primary = Some(false);
            }
            self.emails[at].primary = Some(true);
        }
    }

    /// What was two may have become one, which is primary if either was.
    fn each_email_once(&mut self) {
        let mut once: Vec<Email> = Vec::new();
        for email in self.emails.drain(..) {
            match once.iter_mut().find(|first| first.value == email.value && first.kind == email.kind) {
                Some(first) if first.primary == Some(true) => {}
                Some(first) => first.primary = email.primary.or(first.primary),
                None => once.push(email),
            }
        }
        self.emails = once;
    }
}

impl Email {
    fn json(&self) -> Value {
        let mut email = json!({"value": self.value, "type": self.kind});
        if let Some(primary) = self.primary {
            email["primary"] = primary.into();
        }
        email
    }
}

fn emails_json(emails: &[Email]) -> Value {
    emails.iter().map(Email::json).collect()
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Group {
    pub(crate) display_name: String,
    pub(crate) members: BTreeSet<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct GroupBody {
    pub(crate) display_name: String,
    /// Absent: a PUT leaves them as they are.
    pub(crate) members: Option<Vec<String>>,
}

/// The ways in which the test changes a group.
#[derive(Clone, Debug)]
pub(crate) enum GroupChange {
    DisplayName(String),
    /// Without a path.
    NameAndMembers(String, Vec<String>),
    Add(Vec<String>),
    /// By `members[value eq ..]`.
    Remove(String),
    /// As Entra does, by a value that names them.
    RemoveListed(Vec<String>),
    RemoveAll,
    Replace(Vec<String>),
}

impl Kind for Group {
    type Body = GroupBody;
    type Change = GroupChange;

    const ENDPOINT: &'static str = "/Groups";
    const TYPE: &'static str = "Group";
    const SCHEMA: &'static str = GROUP;
    const NAME: &'static str = "displayName";
    const PATCH_SHOWS: bool = false;

    fn created(body: &GroupBody, gone: &Gone) -> Result<Self, Refused> {
        let mut group = Self { display_name: body.display_name.clone(), members: BTreeSet::new() };
        group.add("", body.members.as_deref().unwrap_or_default(), gone)?;
        Ok(group)
    }

    fn replace(&mut self, id: &str, body: &GroupBody, gone: &Gone) -> Result<(), Refused> {
        self.display_name.clone_from(&body.display_name);
        match &body.members {
            None => Ok(()),
            Some(members) => self.members_are(id, members, gone),
        }
    }

    fn change(&mut self, id: &str, change: &GroupChange, gone: &Gone) -> Result<(), Refused> {
        match change {
            GroupChange::DisplayName(name) => self.display_name.clone_from(name),
            GroupChange::NameAndMembers(name, members) => {
                self.display_name.clone_from(name);
                self.members_are(id, members, gone)?;
            }
            GroupChange::Add(members) => self.add(id, members, gone)?,
            GroupChange::Remove(member) => self.forget(member),
            GroupChange::RemoveListed(members) => members.iter().for_each(|member| self.forget(member)),
            GroupChange::RemoveAll => self.members.clear(),
            GroupChange::Replace(members) => self.members_are(id, members, gone)?,
        }
        Ok(())
    }

    fn forget(&mut self, id: &str) {
        self.members.remove(id);
    }

    fn name(&self) -> &str {
        &self.display_name
    }

    fn name_of(body: &GroupBody) -> &str {
        &body.display_name
    }

    fn renamed(change: &GroupChange) -> Option<&str> {
        match change {
            GroupChange::DisplayName(name) | GroupChange::NameAndMembers(name, _) => Some(name),
            _ => None,
        }
    }

    fn body(body: &GroupBody) -> Value {
        let mut json = json!({"schemas": [GROUP], "displayName": body.display_name});
        if let Some(members) = &body.members {
            json["members"] = values(members);
        }
        json
    }

    fn operation(change: &GroupChange) -> Value {
        match change {
            GroupChange::DisplayName(name) => json!({"op": "Replace", "path": "displayName", "value": name}),
            GroupChange::NameAndMembers(name, members) => {
                json!({"op": "replace", "value": {"displayName": name, "members": values(members)}})
            }
            GroupChange::Add(members) => json!({"op": "add", "path": "members", "value": values(members)}),
            GroupChange::Remove(member) => json!({"op": "remove", "path": format!("members[value eq \"{member}\"]")}),
            GroupChange::RemoveListed(members) => {
                json!({"op": "Remove", "path": "members", "value": values(members)})
            }
            GroupChange::RemoveAll => json!({"op": "remove", "path": "members"}),
            GroupChange::Replace(members) => json!({"op": "replace", "path": "members", "value": values(members)}),
        }
    }

    fn attributes(&self, base: &str, groups: &BTreeSet<String>) -> Map<String, Value> {
        let member = |id: &String| {
            let kind = if groups.contains(id) { Self::TYPE } else { User::TYPE };
            json!({"value": id, "$ref": format!("{base}/{kind}s/{id}"), "type": kind})
        };
        let mut shown = Map::new();
        shown.insert("displayName".to_owned(), json!(self.display_name));
        shown.insert("members".to_owned(), self.members.iter().map(member).collect());
        shown
    }
}

impl Group {
    fn members_are(&mut self, id: &str, members: &[String], gone: &Gone) -> Result<(), Refused> {
        self.members.clear();
        self.add(id, members, gone)
    }

    fn add(&mut self, id: &str, members: &[String], gone: &Gone) -> Result<(), Refused> {
        if members.iter().any(|member| member == id || gone.contains(member)) {
            return Err(INVALID_VALUE);
        }
        self.members.extend(members.iter().cloned());
        Ok(())
    }
}

fn values(ids: &[String]) -> Value {
    ids.iter().map(|id| json!({"value": id})).collect()
}
