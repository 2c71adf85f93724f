//! Deletion settings: days of grace, and how many at once are too many.

use askama::Template;
use axum::response::Response;
use http::StatusCode;
use wire::identity::SetDeletionPolicyRequest;

use super::{said, see};
use crate::{
    form::Form,
    page::{self, Section, Shell},
    problem::Result,
    session::{Role, SignedIn},
};

const LONGEST: u32 = 3650;

/// A field of the form, and what is wrong with it.
#[derive(Debug, PartialEq, Eq)]
struct Field {
    value: String,
    error: Option<String>,
}

impl Field {
    fn stored(value: u32) -> Self {
        Self { value: value.to_string(), error: None }
    }

    /// Some: what the form has, if it can be taken.
    fn read(text: &str, least: u32, most: u32) -> (Option<u32>, Self) {
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        let error = number.is_none().then(|| format!("Give a whole number from {least} to {most}."));
        (number, Self { value: text.to_owned(), error })
    }
}

#[derive(Template)]
#[template(path = "deletion.html")]
struct Deletion {
    shell: Shell,
    error: Option<String>,
    may_change: bool,
    grace_days: Field,
    hold_percent: Field,
    longest: u32,
}

fn deletion_page(
    signed_in: &SignedIn,
    grace_days: Field,
    hold_percent: Field,
    error: Option<String>,
) -> Result<Response> {
    let wrong = error.is_some() || grace_days.error.is_some() || hold_percent.error.is_some();
    let page = Deletion {
        shell: Shell::new(signed_in, Section::Deletion, "Deletion settings"),
        error,
        may_change: signed_in.role >= Role::Owner,
        grace_days,
        hold_percent,
        longest: LONGEST,
    };
    page::html(if wrong { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK }, &page)
}

/// `GET deletion`
pub(crate) async fn show(signed_in: SignedIn) -> Result<Response> {
    let organization = &signed_in.organization;
    let (grace_days, percent) = (organization.deletion_grace_days, organization.hold_percent);
    deletion_page(&signed_in, Field::stored(grace_days), Field::stored(percent), None)
}

/// `POST deletion`
pub(crate) async fn save(signed_in: SignedIn, form: Form) -> Result<Response> {
    let (grace_days, grace_field) = Field::read(form.get("grace_days"), 1, LONGEST);
    let (hold_percent, hold_field) = Field::read(form.get("hold_percent"), 0, 100);
    if grace_days.is_none() || hold_percent.is_none() {
        return deletion_page(&signed_in, grace_field, hold_field, None);
    }
    let request = SetDeletionPolicyRequest {
        caller: signed_in.caller(),
        organization_id: signed_in.organization_id(),
        grace_days,
        hold_percent,
    };
    let mut client = signed_in.visit.console.clients.organizations.clone();
    match client.set_deletion_policy(signed_in.call(request)).await {
        Ok(_) => see(&signed_in, "deletion", "deletion-saved"),
        Err(status) => deletion_page(&signed_in, grace_field, hold_field, Some(said(status.into())?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_within_its_bounds_is_taken() {
        for (text, taken) in
            [("1", Some(1)), ("3650", Some(3650)), ("0", None), ("3651", None), ("-1", None), ("1.5", None), ("", None)]
        {
            let (number, field) = Field::read(text, 1, LONGEST);
            assert_eq!((number, field.error.is_some(), field.value.as_str()), (taken, taken.is_none(), text));
        }
    }
}
