//! The language as its documentation has it, <https://pkg.go.dev/text/template>.

use serde_json::json;

use super::{Methods, Template, Value};

fn fill(template: &str) -> Result<String, String> {
    let data = Value::of(&json!({
        "Name": "/web", "Count": 17, "Half": 0.5, "On": true, "Off": false, "Empty": "", "Nothing": null,
        "Words": ["sh", "-c", "exit 7"], "None": [],
        "Config": {"Labels": {"team": "ops", "Tier": "1"}, "Env": ["A=1", "B=2"]},
        "State": {"Pid": 7, "Health": null, "Status": "running"},
        "NetworkSettings": {
            "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "9/udp": null},
            "Networks": {"bridge": {"IPAddress": "10.0.0.2"}, "lan": {"IPAddress": "10.1.0.2"}},
        },
    }));
    let labels = [("team".to_owned(), "ops".to_owned())].into();
    let data = data.with("Label", Value::Method(Methods::Label(std::rc::Rc::new(labels))));
    let template = Template::parse(template).map_err(|error| error.to_string())?;
    template.fill(&data).map_err(|error| error.to_string())
}

#[track_caller]
fn all(cases: &[(&str, &str)]) {
    for (template, expected) in cases {
        assert_eq!(fill(template).as_deref(), Ok(*expected), "{template}");
    }
}

#[test]
fn values_print_as_go_prints_them() {
    all(&[
        ("plain {text}", "plain {text}"),
        ("{{.Name}} {{.State.Pid}} {{.On}} {{.Half}}", "/web 7 true 0.5"),
        ("{{.Words}} {{.None}} {{.Nothing}}", "[sh -c exit 7] [] <nil>"),
        ("{{.Config.Labels}}", "map[Tier:1 team:ops]"),
        ("{{.State}}", "{<nil> 7 running}"),
        ("{{.Config.Labels.team}} {{.Config.Labels.none}} {{.Config.Labels.none.more}}", "ops <no value> <no value>"),
        ("{{$.Name}}{{with .State}}{{.Pid}}{{$.Count}}{{end}}", "/web717"),
        (
            r#"{{"quoted \"x\" \u00e9\t|"}} {{`raw \n`}} {{1_000}} {{0x10}} {{-2}} {{+1.5}} {{true}}"#,
            "quoted \"x\" é\t| raw \\n 1000 16 -2 1.5 true",
        ),
        (r#"{{.Label "team"}}{{.Label "none"}}{{"team" | .Label}}"#, "opsops"),
        (
            "{{(index .Config.Env 1)}} {{(.State).Pid}} {{(index .NetworkSettings.Networks `lan`).IPAddress}}",
            "B=2 7 10.1.0.2",
        ),
        ("", ""),
    ]);
}

#[test]
fn spaces_are_trimmed_and_comments_left_out() {
    all(&[
        ("{{23 -}} < {{- 45}}", "23<45"),
        ("a \n{{- /* a comment }} */ -}}\n b", "ab"),
        ("a {{/* a comment */}} b", "a  b"),
        ("{{ -3 }}{{- 3}} {{3 -}}  ", "-33 3"),
        ("{{range .Words -}}\n{{.}},\n{{- end}}", "sh,-c,exit 7,"),
    ]);
}

#[test]
fn actions_branch_and_repeat() {
    all(&[
        ("{{if .On}}T1{{end}}{{if .Off}}T1{{else}}T0{{end}}", "T1T0"),
        ("{{if .Off}}1{{else if .None}}2{{else if .Count}}3{{else}}4{{end}}", "3"),
        ("{{if .Empty}}1{{end}}{{if .Nothing}}2{{end}}{{if .State}}3{{end}}{{if 0}}4{{end}}{{if .Half}}5{{end}}", "35"),
        ("{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}", "none"),
        ("{{with .State}}{{.Status}}{{else}}none{{end}} {{with .Nothing}}x{{else}}none{{end}}", "running none"),
        ("{{with $x := .State}}{{$x.Pid}}{{end}} {{with .None}}{{else with .Name}}{{.}}{{end}}", "7 /web"),
        ("{{range .Words}}<{{.}}>{{end}}{{range .None}}x{{else}}none{{end}}", "<sh><-c><exit 7>none"),
        ("{{range $i, $w := .Words}}{{$i}}={{$w}} {{end}}", "0=sh 1=-c 2=exit 7 "),
        ("{{range $w := .Words}}{{$w}} {{end}}{{range 3}}{{.}}{{end}}", "sh -c exit 7 012"),
        (
            "{{range $name, $net := .NetworkSettings.Networks}}{{$name}} {{.IPAddress}} {{$net.IPAddress}};{{end}}",
            "bridge 10.0.0.2 10.0.0.2;lan 10.1.0.2 10.1.0.2;",
        ),
        (
            "{{range $p, $to := .NetworkSettings.Ports}}{{$p}}{{range $to}}->{{.HostPort}}{{end}} {{end}}",
            "80/tcp->8080 9/udp ",
        ),
        ("{{range .Words}}{{if eq . `-c`}}{{continue}}{{end}}{{.}}{{end}}", "shexit 7"),
        ("{{range .Words}}{{if eq . `-c`}}{{break}}{{end}}{{.}}{{end}}", "sh"),
    ]);
}

#[test]
fn variables_live_as_long_as_their_action() {
    all(&[
        ("{{$x := 1}}{{$x}}{{$x = 2}}{{$x}}", "12"),
        ("{{$x := 1}}{{if .On}}{{$x := 2}}{{$x}}{{end}}{{$x}}", "21"),
        ("{{$last := ``}}{{range .Words}}{{$last = .}}{{end}}{{$last}}", "exit 7"),
        ("{{$e := .Config.Env}}{{len $e}} {{index $e 0}} {{$s := .State}}{{$s.Pid}}", "2 A=1 7"),
    ]);
}

#[test]
fn functions_do_what_their_documentation_says() {
    all(&[
        (
            "{{and .On .Name}} {{and .Off .Name}} {{or .Empty .Count 1}} {{or .Off .Empty}}| {{not .Off}}",
            "/web false 17 | true",
        ),
        ("{{and .Off .State.Health.Status}}{{or .On .State.Health.Status}}", "falsetrue"),
        ("{{len .Name}} {{len .Words}} {{len .Config.Labels}}", "4 3 2"),
        (r#"{{index .Words 2}} {{index .Config.Labels "team"}} {{index .Config.Labels "none"}}|"#, "exit 7 ops |"),
        (
            r#"{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}} {{index .NetworkSettings.Ports "1/tcp"}}"#,
            "8080 []",
        ),
        (r#"{{(index .NetworkSettings.Ports "80/tcp" 0).HostPort}} {{index .Name 0}}"#, "8080 47"),
        (
            "{{slice .Name 1}} {{slice .Name 1 3}} {{slice .Words 1}} {{slice .Words}}",
            "web we [-c exit 7] [sh -c exit 7]",
        ),
        (
            "{{eq 1 1}} {{eq .Name `x` `/web`}} {{ne .Count 1}} {{lt 1 2}} {{le 2 2}} {{gt 1 2.5}} {{ge `b` `a`}}",
            "true true true true true false true",
        ),
        ("{{eq .Nothing nil}} {{eq .Config.Labels.none nil}} {{eq .On .Off}}", "true true false"),
        ("{{print 1 2 `a` `b` 3}} {{println 1 `a`}}{{print}}", "1 2ab3 1 a\n"),
        (
            r#"{{join .Words ","}} {{split "a:b" ":"}} {{split "ab" ""}} {{join (split .Name "/") "-"}}"#,
            "sh,-c,exit 7 [a b] [a b] -web",
        ),
        (
            "{{upper .Name}} {{lower `ABC`}} {{title `some words`}} {{.Name | upper | printf `%s%d` | len}}",
            "/WEB abc Some Words 16",
        ),
        ("[{{pad `x` 1 2}}] [{{pad `` 1 2}}] {{truncate .Name 2}} {{truncate `é` 9}}", "[ x  ] [] /w é"),
        (
            "{{json .Words}} {{json .Config}} {{json .Config.Labels.none}}",
            r#"["sh","-c","exit 7"] {"Env":["A=1","B=2"],"Labels":{"Tier":"1","team":"ops"}} null"#,
        ),
        ("{{html `<a b='c'>&`}} {{urlquery `a b/ü`}}", "&lt;a b=&#39;c&#39;&gt;&amp; a+b%2F%C3%BC"),
    ]);
}

#[test]
fn printf_is_gos() {
    all(&[
        ("{{printf `%s|%5s|%-5s|%.2s` .Name `a` `b` `xyz`}}", "/web|    a|b    |xy"),
        (
            "{{printf `%d|%4d|%-4d|%04d|%+d|%x|%#X|%o|%b|%c` 7 7 7 -7 7 255 255 8 5 65}}",
            "7|   7|7   |-007|+7|ff|FF|10|101|A",
        ),
        ("{{printf `%q|%v|%t|%x` .Name .Words .On `ab`}}", "\"/web\"|[sh -c exit 7]|true|6162"),
        ("{{printf `%q %d` .Words .Count}}", "[\"sh\" \"-c\" \"exit 7\"] 17"),
        ("{{printf `%f|%.1f|%6.2f|%e|%g` 1.5 2.25 3.14159 1234.5 0.5}}", "1.500000|2.2|  3.14|1.234500e+03|0.5"),
        ("{{printf `%*d|100%%` 5 42}}", "   42|100%"),
        (
            "{{printf `%d` `x`}} {{printf `%s`}} {{printf `x` 1}} {{printf `%`}} {{printf `%s` .Nothing}}",
            "%!d(string=x) %!s(MISSING) x%!(EXTRA int=1) %!(NOVERB) %!s(<nil>)",
        ),
    ]);
}

#[test]
fn what_is_wrong_is_said_with_its_name() {
    let cases = [
        ("{{.Nme}}", ". has no field Nme; did you mean Name?"),
        ("{{.State.Pdi}}", ".State has no field Pdi; did you mean Pid?"),
        ("{{.State.Health.Status}}", ".State.Health is nil and has no field Status"),
        ("{{.Name.First}}", ".Name is string and has no field First"),
        ("{{range .Name}}{{end}}", "not over string"),
        ("{{.Name", "{{ without }}"),
        ("{{if .On}}", "{{if}} has no {{end}}"),
        ("{{range .Words}}{{else}}", "{{range}} has no {{end}}"),
        ("{{end}}", "{{end}} ends nothing"),
        ("{{else}}", "{{else}} belongs to nothing"),
        ("{{if 1}}{{else}}{{else}}{{end}}", "second {{else}}"),
        ("{{break}}", "{{break}} is in no range"),
        ("{{define `x`}}{{end}}", "{{define}} is not taken"),
        ("{{}}", "empty"),
        ("{{uper .Name}}", "did you mean upper?"),
        ("{{$x}}", "there is no variable $x"),
        ("{{if .On}}{{$x := 1}}{{end}}{{$x}}", "there is no variable $x"),
        ("{{$y = 1}}", "there is no variable $y"),
        ("{{$a, $b := .Words}}", "only range"),
        ("{{(.Name}}", "a ( has no )"),
        ("{{.Name .Count}}", ".Name is no function"),
        ("{{1 | 2}}", "2 takes nothing"),
        ("{{index .Words 3}}", "index 3 is beyond the 3"),
        ("{{len .Count}}", "int has no length"),
        ("{{upper .Count}}", "upper takes a string, not int"),
        ("{{eq .Name 1}}", "cannot be compared"),
        ("{{join .Name `,`}}", "join takes a list"),
        ("{{pad `x` 99999999 0}}", "from 0 to"),
        ("{{printf `%99999999d` 1}}", "nothing wider"),
        ("{{`x}}", "a ` has no other"),
        ("{{\"x}}", "does not end"),
        ("{{/* x }}", "no */"),
        ("{{1x}}", "1x is no number"),
        ("{{.Label}}x{{.Label 1}}", ".Label takes one name in quotes"),
        ("{{?}}", "'?' is not understood"),
    ];
    for (template, expected) in cases {
        let error = fill(template).expect_err(template);
        assert!(error.contains(expected), "{template}: {error}");
    }
}

#[test]
fn nothing_is_without_bounds() {
    let nested = |depth: usize| format!("{{{{{}1{}}}}}", "(".repeat(depth), ")".repeat(depth));
    assert_eq!(fill(&nested(50)).as_deref(), Ok("1"));
    assert!(fill(&nested(100_000)).unwrap_err().contains("deeper"));
    assert!(fill(&"{{if 1}}".repeat(100_000)).unwrap_err().contains("deeper"));
    assert!(
        fill("{{$x := `xxxxxxxx`}}{{range 60}}{{$x = print $x $x}}{{end}}").unwrap_err().contains("makes more than")
    );
    assert!(fill("{{range 99999999999}}{{.}} and more{{end}}").unwrap_err().contains("makes more than"));
}
