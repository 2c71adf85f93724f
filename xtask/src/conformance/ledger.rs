//! The files in docs/conformance: what a row is, reading them, and what makes them whole.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};

use super::capabilities::Capabilities;

/// One RFC.
pub(super) struct Rfc {
    /// "7644".
    pub(super) number: String,
    /// In the order of the RFC.
    pub(super) sections: Vec<Section>,
}

/// One section that has requirements.
pub(super) struct Section {
    /// "3.5.2".
    pub(super) number: String,
    pub(super) title: String,
    pub(super) rows: Vec<Row>,
}

/// One occurrence of a keyword.
#[derive(Debug)]
pub(super) struct Row {
    /// "7644-3.5.2-07": RFC, section, place among the keywords of the section.
    pub(super) id: String,
    pub(super) keyword: String,
    pub(super) state: State,
    /// A field of `scim::discovery::Capabilities` that the requirement depends on.
    pub(super) capability: Option<String>,
    pub(super) requirement: String,
    /// `path/to/file.rs::function`.
    pub(super) tests: Vec<String>,
    pub(super) why: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    Proven,
    ClientSide,
    Declined,
    Unproven,
}

impl State {
    pub(super) const ALL: [Self; 4] = [Self::Proven, Self::ClientSide, Self::Declined, Self::Unproven];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::ClientSide => "client-side",
            Self::Declined => "declined",
            Self::Unproven => "unproven",
        }
    }
}

const KEYWORDS: [&str; 9] =
    ["MUST", "MUST NOT", "SHALL", "SHALL NOT", "SHOULD", "SHOULD NOT", "REQUIRED", "RECOMMENDED", "NOT RECOMMENDED"];

impl Rfc {
    pub(super) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.sections.iter().flat_map(|section| &section.rows)
    }

    /// What depends on a capability that is off is declined, whatever its tests prove.
    pub(super) fn switch_off(&mut self, capabilities: &Capabilities) -> Vec<String> {
        let mut complaints = Vec::new();
        for row in self.sections.iter_mut().flat_map(|section| &mut section.rows) {
            let Some(capability) = &row.capability else { continue };
            match capabilities.get(capability) {
                None => complaints.push(format!("{}: there is no capability {capability}", row.id)),
                Some(false) if row.state != State::ClientSide => {
                    row.state = State::Declined;
                    row.tests.clear();
                    row.why = format!("The capability `{capability}` is switched off, as /ServiceProviderConfig says.");
                }
                Some(_) => {}
            }
        }
        complaints
    }
}

/// Blocks of lines: `## SECTION TITLE`, or a row, which is `ID KEYWORD | STATE [| CAPABILITY]`, the requirement, and
/// lines that begin with `test:` or `why:`. `#` begins a comment.
pub(super) fn parse(number: &str, text: &str) -> Result<Rfc> {
    let mut rfc = Rfc { number: number.to_owned(), sections: Vec::new() };
    for block in text.split("\n\n").map(str::trim).filter(|block| !block.is_empty()) {
        let lines: Vec<&str> =
            block.lines().filter(|line| line.starts_with("## ") || !line.starts_with('#')).map(str::trim).collect();
        let Some(head) = lines.first() else { continue };
        if let Some(title) = head.strip_prefix("## ") {
            let (number, title) = title.split_once(' ').with_context(|| format!("`{head}` has no title"))?;
            let (number, title) = (number.to_owned(), title.to_owned());
            rfc.sections.push(Section { number, title, rows: Vec::new() });
            continue;
        }
        let section = rfc.sections.last_mut().with_context(|| format!("`{head}` is in no section"))?;
        section.rows.push(row(head, &lines[1..]).with_context(|| format!("`{head}`"))?);
    }
    Ok(rfc)
}

fn row(head: &str, lines: &[&str]) -> Result<Row> {
    let mut parts = head.split(" | ");
    let (id, keyword) = parts.next().and_then(|part| part.split_once(' ')).context("no id and keyword")?;
    let state = parts.next().context("no state")?;
    let known = State::ALL.into_iter().find(|known| known.as_str() == state);
    let mut row = Row {
        id: id.to_owned(),
        keyword: keyword.to_owned(),
        state: known.with_context(|| format!("there is no state `{state}`"))?,
        capability: parts.next().map(str::to_owned),
        requirement: String::new(),
        tests: Vec::new(),
        why: String::new(),
    };
    ensure!(parts.next().is_none(), "too many parts");
    ensure!(KEYWORDS.contains(&keyword), "`{keyword}` is no keyword");
    for line in lines {
        if let Some(test) = line.strip_prefix("test: ") {
            row.tests.push(test.to_owned());
        } else if let Some(why) = line.strip_prefix("why: ") {
            row.why = why.to_owned();
        } else if row.requirement.is_empty() {
            row.requirement = (*line).to_owned();
        } else {
            bail!("`{line}` is neither `test:` nor `why:`");
        }
    }
    Ok(row)
}

/// Complaints about rows that are missing, twice, or say too little or too much.
pub(super) fn check(rfc: &Rfc, expected: usize) -> Vec<String> {
    let mut complaints = Vec::new();
    let found = rfc.rows().count();
    if found != expected {
        complaints.push(format!("RFC {} has {expected} requirements, the ledger {found}", rfc.number));
    }
    let mut sections = BTreeMap::new();
    for section in &rfc.sections {
        *sections.entry(&section.number).or_insert(0) += 1;
        for (n, row) in section.rows.iter().enumerate() {
            let id = format!("{}-{}-{:02}", rfc.number, section.number, n + 1);
            if row.id != id {
                complaints.push(format!("{} should be {id}", row.id));
            }
            complaints.extend(says(row).map(|why| format!("{}: {why}", row.id)));
        }
    }
    let twice = sections.into_iter().filter(|(_, times)| *times > 1);
    complaints.extend(twice.map(|(number, _)| format!("section {number} of RFC {} stands twice", rfc.number)));
    complaints
}

fn says(row: &Row) -> Option<&'static str> {
    let shouted = |text: &str| {
        let mut words = text.split(|c: char| !c.is_ascii_uppercase());
        words.any(|word| KEYWORDS.contains(&word))
    };
    if row.requirement.is_empty() {
        Some("says nothing")
    } else if shouted(&row.requirement) || shouted(&row.why) {
        Some("has a keyword in capitals in its text: the column before has it")
    } else if row.state == State::Proven && row.tests.is_empty() {
        Some("is proven by no test")
    } else if row.state != State::Proven && row.why.is_empty() {
        Some("does not say why it is not proven")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = "# About.\n\n## 3.1 Names\n\n7644-3.1-01 MUST | proven\nA thing has a name.\ntest: a.rs::b\n\n\
                         7644-3.1-02 SHOULD NOT | proven | bulk\nOthers.\ntest: a.rs::b\ntest: c.rs::d\nwhy: Both.\n\n\
                         7644-3.1-03 MUST | client-side\nAsk nicely.\nwhy: A client does.\n";

    #[test]
    fn rows_are_read_and_switched_off() {
        let mut rfc = parse("7644", SOUND).unwrap();
        assert_eq!(check(&rfc, 3), Vec::<String>::new());
        let second = &rfc.sections[0].rows[1];
        assert_eq!((second.keyword.as_str(), second.tests.len(), second.why.as_str()), ("SHOULD NOT", 2, "Both."));
        let bulk = |on| Capabilities::from([("bulk".to_owned(), on)]);
        assert!(rfc.switch_off(&bulk(true)).is_empty());
        assert_eq!(rfc.sections[0].rows[1].state, State::Proven);
        assert!(rfc.switch_off(&bulk(false)).is_empty());
        assert_eq!(rfc.sections[0].rows[1].state, State::Declined);
        assert_eq!(rfc.switch_off(&Capabilities::new()).len(), 1);
    }

    #[test]
    fn each_mistake_is_seen() {
        for (from, to, complaint) in [
            ("-02", "-03", "should be 7644-3.1-02"),
            ("A thing has", "A thing MUST have", "capitals"),
            ("A thing has a name.\ntest: a.rs::b", "A thing has a name.", "no test"),
            ("A thing has a name.\n", "", "says nothing"),
            ("\nwhy: A client does.", "", "does not say why"),
            ("7644-3.1-03 MUST | client-side\nAsk nicely.\nwhy: A client does.\n", "", "has 3 requirements"),
            ("7644-3.1-03", "## 3.1 Names\n\n7644-3.1-01", "twice"),
        ] {
            let text = SOUND.replacen(from, to, 1);
            assert_ne!(text, SOUND, "{from}");
            let complaints = check(&parse("7644", &text).unwrap(), 3);
            assert!(complaints.iter().any(|c| c.contains(complaint)), "{complaint}: {complaints:?}");
        }
        for (from, to) in
            [("| proven", "| known"), ("SHOULD NOT", "OUGHT"), ("why: Both.", "Both."), ("## 3.1 Names", "#")]
        {
            assert!(parse("7644", &SOUND.replacen(from, to, 1)).is_err(), "{from}");
        }
    }
}
