//! Model → notes → model and model → YAML → model, and the sources against the schema.

use proptest::prelude::*;
use solo5_abi::device::{Mtu, SectorSize};
use solo5_abi::mft1::DeviceType;
use solo5_abi::mft2::{self, PROPERTIES, Property, Shape, Subject};
use solo5_manifest::{Manifest, Version, decode, parse, schema, yaml};
use solo5_source::{Kind, Node};

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z ]{1,30}", "\\PC{1,20}", "[ -~\n\t]{1,40}"]
}

fn size() -> impl Strategy<Value = String> {
    (1..=4096_u64, prop::sample::select(vec!["KiB", "MiB", "GiB"]))
        .prop_map(|(number, unit)| format!("{number}{unit}"))
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn option(
    key: &'static str,
    value: impl Strategy<Value = String>,
) -> impl Strategy<Value = String> {
    prop::option::of(value)
        .prop_map(move |value| value.map(|value| format!(", {key}: {value}")).unwrap_or_default())
}

/// A value of this shape, as it is written in a source.
fn value_of(shape: Shape) -> BoxedStrategy<String> {
    match shape {
        Shape::Flag(_) => any::<bool>().prop_map(|truth| truth.to_string()).boxed(),
        Shape::Choice(_, words) => prop::sample::select(words.map(str::to_owned).to_vec()).boxed(),
        Shape::Size => size().boxed(),
        Shape::Stack => (1u64..1000).prop_map(|count| format!("{}KiB", count * 64)).boxed(),
        Shape::SectorSize => {
            let sizes: Vec<_> = SectorSize::all().map(|size| size.to_string()).collect();
            prop::sample::select(sizes).boxed()
        }
        Shape::Mtu => Mtu::RANGE.prop_map(|mtu| mtu.to_string()).boxed(),
        Shape::Text(_) => text().prop_map(|text| json(&text)).boxed(),
    }
}

fn has(kind: Option<DeviceType>, property: &Property) -> bool {
    match property.subject {
        Subject::Unikernel => kind.is_none(),
        Subject::Device => kind.is_some(),
        Subject::Only(only) => kind == Some(only),
    }
}

/// Some of the properties that the unikernel (`None`) or a device can have, each as `, key: value`.
fn properties(kind: Option<DeviceType>) -> BoxedStrategy<String> {
    mft2::by_key().filter(|rows| has(kind, &rows[0])).fold(
        Just(String::new()).boxed(),
        |all, rows| {
            let own = match rows[0].inner_key() {
                None => option(rows[0].key, value_of(rows[0].shape)).boxed(),
                Some(_) => {
                    let pairs = rows.iter().fold(Just(String::new()).boxed(), |all, row| {
                        let pair = option(row.inner_key().unwrap(), value_of(row.shape));
                        (all, pair).prop_map(|(all, pair)| all + &pair).boxed()
                    });
                    let braces =
                        pairs.prop_map(|pairs| format!("{{ {} }}", pairs.trim_start_matches(", ")));
                    option(rows[0].outer_key(), braces).boxed()
                }
            };
            (all, own).prop_map(|(all, own)| all + &own).boxed()
        },
    )
}

fn device(version: u8) -> BoxedStrategy<String> {
    let kind = prop::sample::select(DeviceType::ALL.to_vec());
    ("[A-Za-z0-9]{1,67}", kind)
        .prop_flat_map(move |(name, kind)| {
            let properties =
                if version == 1 { Just(String::new()).boxed() } else { properties(Some(kind)) };
            properties.prop_map(move |properties| {
                format!("{{ name: {}, type: {}{properties} }}", json(&name), kind.name())
            })
        })
        .boxed()
}

/// A manifest with one property, and whether its note stores the property: a flag that is `false` is
/// not stored.
fn one_row(property: &'static Property) -> BoxedStrategy<(String, bool)> {
    let off = match property.shape {
        Shape::Flag(_) => Some("false"),
        Shape::Choice(_, [clear, _]) => Some(clear),
        _ => None,
    };
    value_of(property.shape)
        .prop_map(move |value| {
            let there = off != Some(value.as_str());
            let said = match property.inner_key() {
                Some(inner) => format!("{}: {{ {inner}: {value} }}", property.outer_key()),
                None => format!("{}: {value}", property.key),
            };
            let head = "{ type: solo5.manifest, version: 2, devices: [";
            let kind = match property.subject {
                Subject::Unikernel => return (format!("{head}], {said} }}"), there),
                Subject::Device => DeviceType::NetBasic,
                Subject::Only(kind) => kind,
            };
            (format!("{head}{{ name: a, type: {}, {said} }}] }}", kind.name()), there)
        })
        .boxed()
}

/// Source text of a manifest. Names may collide, which is an error.
fn source() -> impl Strategy<Value = String> {
    (1..=2_u8).prop_flat_map(|version| {
        let devices = prop::collection::vec(device(version), 0..8);
        let root = (
            properties(None),
            option(
                "package",
                ("[a-z-]{1,20}", option("version", "[0-9]\\.[0-9]{1,2}"))
                    .prop_map(|(name, version)| format!("{{ name: {}{version} }}", json(&name))),
            ),
        );
        (devices, root).prop_map(move |(devices, (properties, package))| {
            let extra = if version == 1 { String::new() } else { properties + &package };
            let devices = devices.join(", ");
            format!("{{ type: solo5.manifest, version: {version}, devices: [{devices}]{extra} }}")
        })
    })
}

/// The tree as JSON, with numbers and booleans where the reader accepts them.
fn value(node: &Node) -> serde_json::Value {
    match &node.kind {
        Kind::Scalar(scalar) if scalar.style == solo5_source::Style::Plain => {
            serde_json::from_str(&scalar.text).unwrap_or_else(|_| scalar.text.clone().into())
        }
        Kind::Scalar(scalar) => scalar.text.clone().into(),
        Kind::Sequence(items) => items.iter().map(value).collect(),
        Kind::Mapping(pairs) => {
            pairs.iter().map(|pair| (pair.key.text.clone(), value(&pair.value))).collect()
        }
    }
}

fn without_package(manifest: &Manifest) -> String {
    let text = yaml::write(manifest);
    text.lines()
        .filter(|line| !line.starts_with("package:"))
        .fold(String::new(), |all, line| all + line + "\n")
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(500)
    })]

    #[test]
    fn notes_and_yaml_read_back_as_the_same_manifest(source in source()) {
        let Ok(checked) = parse("x", source.as_bytes()) else {
            // The only possible errors are colliding names, a text with a NUL, an empty mapping that
            // requires a key, and recommended memory below the minimum.
            return Ok(());
        };
        let manifest = checked.manifest;
        let text = yaml::write(&manifest);
        let again = parse("y", text.as_bytes()).map_err(|found| {
            TestCaseError::fail(format!("{source}\n{text}\n{found:?}"))
        })?;
        prop_assert_eq!(&again.manifest, &manifest, "{}", text);
        let decoded = decode::notes(&manifest.notes().bytes()).unwrap();
        prop_assert_eq!(decoded.notes(), manifest.notes());
        prop_assert_eq!(yaml::write(&decoded), without_package(&manifest));
        // The output of `show` is already in the standard layout.
        let document = solo5_source::parse("y", text.as_bytes()).unwrap();
        prop_assert_eq!(solo5_source::format::format(&document), text);
    }

    #[test]
    fn accepted_sources_fit_the_schema(source in source()) {
        if let Ok(checked) = parse("x", source.as_bytes()) {
            let schema = schema::value(checked.manifest.version());
            let document = solo5_source::parse("x", source.as_bytes()).unwrap();
            let value = value(&document.root);
            let errors: Vec<_> = jsonschema::validator_for(&schema).unwrap()
                .iter_errors(&value).map(|error| error.to_string()).collect();
            prop_assert!(errors.is_empty(), "{source}\n{errors:?}");
        }
    }

    #[test]
    fn any_bytes_decode_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode::notes(&bytes);
    }

    #[test]
    fn damaged_notes_that_decode_round_trip(source in source(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        if let Ok(checked) = parse("x", source.as_bytes()) {
            let mut bytes = checked.manifest.notes().bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(manifest) = decode::notes(&bytes) {
                // A decoded manifest has a source, and that source gives the same manifest.
                let text = yaml::write(&manifest);
                let again = parse("y", text.as_bytes()).map_err(|found| TestCaseError::fail(format!("{text}\n{found:?}")))?;
                prop_assert_eq!(again.manifest, manifest);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// No row of the table is lost on the way through the note.
    #[test]
    fn each_row_goes_through_the_note_and_back(
        rows in PROPERTIES.iter().map(one_row).collect::<Vec<_>>()
    ) {
        for (property, (source, there)) in PROPERTIES.iter().zip(rows) {
            if source.contains("\\u0000") {
                continue;
            }
            let found = parse("x", source.as_bytes());
            let checked = found.map_err(|found| TestCaseError::fail(format!("{source}\n{found:?}")))?;
            let manifest = checked.manifest;
            let of_device = manifest.devices().iter().flat_map(|device| device.properties().iter());
            let said: Vec<_> = manifest.properties().iter().chain(of_device).collect();
            prop_assert_eq!(said.len(), usize::from(there), "{}", &source);
            prop_assert!(said.iter().all(|(row, _)| *row == property), "{}", &source);
            let decoded = decode::notes(&manifest.notes().bytes());
            prop_assert_eq!(decoded.as_ref(), Ok(&manifest), "{}", &source);
            let again = parse("y", yaml::write(&manifest).as_bytes()).map(|checked| checked.manifest);
            prop_assert_eq!(again.ok(), Some(manifest), "{}", &source);
            // Upstream's tenders ignore the note. Where that matters, the diagnostic names the row.
            let warned = checked.remarks.iter().any(|found| found.code == "M120");
            prop_assert_eq!(warned, there && property.critical, "{}", &source);
            let schema = jsonschema::validator_for(&schema::value(Version::V2)).unwrap();
            let document = solo5_source::parse("x", source.as_bytes()).unwrap();
            prop_assert!(schema.is_valid(&value(&document.root)), "{}", &source);
        }
    }
}

/// The keys of every object in a schema.
fn objects(schema: &serde_json::Value, out: &mut Vec<Vec<String>>) {
    if let Some(properties) = schema.get("properties").and_then(|value| value.as_object()) {
        out.push(properties.keys().cloned().collect());
    }
    match schema {
        serde_json::Value::Object(map) => map.values().for_each(|value| objects(value, out)),
        serde_json::Value::Array(items) => items.iter().for_each(|value| objects(value, out)),
        _ => {}
    }
}

#[test]
fn schema_and_checks_know_the_same_keys() {
    // For an unknown key, the check lists the known ones.
    let probe = |text: &str| -> Vec<String> {
        let found = parse("x", text.as_bytes()).unwrap_err();
        let help =
            found.iter().find(|found| found.code == "Y032").and_then(|found| found.help.clone());
        let help = help.unwrap();
        let mut keys: Vec<_> = help.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        keys.sort();
        keys
    };
    let mut checked = Vec::new();
    let head = "type: solo5.manifest\nversion: 2\n";
    checked.push(probe(&format!("{head}devices: []\nqqqqq: 1\n")));
    checked.push(probe(&format!("{head}devices: []\nmemory: {{ qqqqq: 1 }}\n")));
    checked.push(probe(&format!("{head}devices: []\npackage: {{ name: a, qqqqq: 1 }}\n")));
    let device = |kind: &str| {
        probe(&format!("{head}devices: [ {{ name: a, type: {kind}, qqqqqqqqqqqq: 1 }} ]\n"))
    };
    let (block, net) = (device("BLOCK_BASIC"), device("NET_BASIC"));
    assert_eq!(block, net, "the check offers all keys and refuses those of the other type");
    let mut described = Vec::new();
    objects(&schema::value(Version::V2), &mut described);
    described.iter_mut().for_each(|keys| keys.sort());
    for keys in &checked {
        assert!(described.contains(keys), "{keys:?}\n{described:?}");
    }
    let mut union: Vec<_> = described
        .iter()
        .filter(|keys| keys.contains(&"optional".to_owned()))
        .flatten()
        .cloned()
        .collect();
    union.sort();
    union.dedup();
    assert_eq!(union, block);
}

#[test]
fn the_files_in_schemas_are_current() {
    for version in Version::ALL {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas");
        let path = folder.join(schema::file_name(version));
        if std::env::var_os("SOLO5_BLESS").is_some() {
            std::fs::write(&path, schema::text(version)).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(found, schema::text(version), "run `cargo xtask schemas`");
    }
}

#[test]
fn the_schema_refuses_what_it_can() {
    let schema = jsonschema::validator_for(&schema::value(Version::V2)).unwrap();
    let base = |extra: &str| -> serde_json::Value {
        serde_json::from_str(&format!(
            r#"{{ "type": "solo5.manifest", "version": 2, "devices": [], {extra} }}"#
        ))
        .unwrap()
    };
    assert!(schema.is_valid(&base(r#""memory": { "minimum": "32MiB" }"#)));
    for bad in [
        r#""memory": { "minimum": 32 }"#,
        r#""memory": { "minimum": "0MiB" }"#,
        r#""unknown": 1"#,
        r#""version": 1"#,
        r#""devices": [ { "name": "a-b", "type": "NET_BASIC" } ]"#,
        r#""devices": [ { "name": "a", "type": "NET_BASIC", "access": "read-only" } ]"#,
        r#""devices": [ { "name": "a", "type": "BLOCK_BASIC", "sector-size": 1000 } ]"#,
    ] {
        assert!(!schema.is_valid(&base(bad)), "{bad}");
    }
}

/// The examples' manifests fit the schema that their first line names for editors.
#[test]
fn examples_fit_their_schemas() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let folders = std::fs::read_dir(root).unwrap().map(|example| example.unwrap().path());
    let folders = folders.filter(|folder| folder.is_dir());
    let files = folders.flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let files = files.map(|file| file.unwrap().path());
    let mut count = 0;
    for path in files.filter(|path| path.extension().is_some_and(|suffix| suffix == "yaml")) {
        let text = std::fs::read_to_string(&path).unwrap();
        if !text.lines().any(|line| line == "type: solo5.manifest") {
            continue;
        }
        let checked = parse("manifest.yaml", text.as_bytes()).expect("a manifest");
        let first = text.lines().next().unwrap_or_default();
        let named = first.strip_prefix("# yaml-language-server: $schema=");
        let named = named.unwrap_or_else(|| panic!("{path:?} names no schema"));
        let file = std::fs::read_to_string(path.with_file_name("").join(named));
        let file = file.expect("the schema's file");
        assert!(file == schema::text(checked.manifest.version()), "{path:?}");
        let schema = jsonschema::validator_for(&serde_json::from_str(&file).unwrap()).unwrap();
        let document = solo5_source::parse("x", text.as_bytes()).unwrap();
        assert!(schema.is_valid(&value(&document.root)), "{path:?}");
        count += 1;
    }
    assert!(count >= 2);
}
