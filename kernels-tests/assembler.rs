//! The assembler of shaders: conditions, loops, expressions of named constants, and errors that name shader and line.
use vorticity::shaders::{assemble_with, in_uniform_buffer};

/// Lines of `text`, assembled with these constants, without those that declare the constants.
fn lines(text: &str, constants: &[(&'static str, i64)]) -> String {
    let all = assemble_with("t", constants, &[("t", text)]).unwrap();
    all.lines().skip(constants.len()).collect::<Vec<_>>().join(" ")
}

/// What is wrong with `text`.
fn refused(text: &str) -> String {
    assemble_with("t", &[("ON", 1)], &[("t", text), ("part", "a\n#if NO\n#endif\n")]).unwrap_err().to_string()
}

#[test]
fn a_condition_takes_one_of_its_sides() {
    let text = "a\n#if ON\nb\n#else\nc\n#endif\nd";
    assert_eq!(lines(text, &[("ON", 1)]), "a b d");
    assert_eq!(lines(text, &[("ON", -2)]), "a b d");
    assert_eq!(lines(text, &[("ON", 0)]), "a c d");
    let alone = "#if !ON // or not\nb\n#endif\nd";
    assert_eq!(lines(alone, &[("ON", 1)]), "d");
    assert_eq!(lines(alone, &[("ON", 0)]), "b d");
}

#[test]
fn conditions_and_loops_nest() {
    let text = "#if A\n#if B\nab\n#else\na\n#endif\n#else\n#if B\nb\n#else\nnone\n#endif\n#endif";
    for (a, b, expected) in [(1, 1, "ab"), (1, 0, "a"), (0, 1, "b"), (0, 0, "none")] {
        assert_eq!(lines(text, &[("A", a), ("B", b)]), expected);
    }
    let text = "#unroll i 0 4\n#if i % 2 == 0 && PAIRS\n$i\n#else\n#unroll j i i+2\n$(10 * i + j)\n#end\n#endif\n#end";
    assert_eq!(lines(text, &[("PAIRS", 1)]), "0 11 12 2 33 34");
    assert_eq!(lines(text, &[("PAIRS", 0)]), "0 1 11 12 22 23 33 34");
}

/// What is left out is neither imported, nor extends the language, nor declares constants for expressions.
#[test]
fn what_is_left_out_has_no_effect() {
    let text = "#if ON\n#import part\nenable f16;\nconst N = 3;\n#else\nconst N = 1;\n#endif\n$N";
    let own = [("t", text), ("part", "p")];
    assert_eq!(assemble_with("t", &[("ON", 1)], &own).unwrap(), "enable f16;\nconst ON = 1;\np\nconst N = 3;\n3\n");
    assert_eq!(assemble_with("t", &[("ON", 0)], &own).unwrap(), "const ON = 0;\nconst N = 1;\n1\n");
}

#[test]
fn expressions_are_read_as_in_wgsl() {
    for (text, expected) in [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("7 / 2 % 2", 1),
        ("10 - 2 - 3", 5),
        ("TWO_WORDS * _x1", 30),
        ("1 + 1 == 2", 1),
        ("2 < 1 + 1", 0),
        ("1 < 2 && 5", 1),
        ("1 && 0", 0),
        ("!3", 0),
        ("!(1 - 1) + 1", 2),
    ] {
        assert_eq!(lines(&format!("$({text})"), &[("TWO_WORDS", 5), ("_x1", 6)]), expected.to_string(), "{text}");
    }
    assert_eq!(lines("x$TWO_WORDS.", &[("TWO_WORDS", 5)]), "x5.");
    let wrong = ["", "1 +", "1 2", "(1", "1)", "NO", "1 = 1", "1 & 1", "1 / 0", "9223372036854775807 + 1", "1.5", "ö"];
    for text in wrong {
        let error = refused(&format!("a\n#if {text}\n#endif"));
        assert!(error.contains("line 2") && error.contains("is not an integer expression"), "{text}: {error}");
    }
}

#[test]
fn errors_name_shader_and_line() {
    for (text, place, message) in [
        ("a\n#if ON\nb", "line 2 '#if ON'", "#endif is missing"),
        ("#unroll i 0 2\n$i", "line 1 '#unroll i 0 2'", "#end is missing"),
        ("#if ON\n#unroll i 0 2\n#endif\n#end", "line 3 '#endif'", "an #unroll is open"),
        ("#if ON\na\n#end", "line 3 '#end'", "an #if is open"),
        ("#if ON\n#else\n#else\n#endif", "line 3 '#else'", "an #if is open"),
        ("#unroll i 0 2\n#else\n#end", "line 2 '#else'", "an #unroll is open"),
        ("a\n#endif", "line 2 '#endif'", "of one that is open"),
        ("#else", "line 1 '#else'", "of one that is open"),
        ("a\n\n#end", "line 3 '#end'", "of one that is open"),
        ("#ifdef ON", "line 1 '#ifdef ON'", "expected #import FILE"),
        ("#unroll i 0", "line 1 '#unroll i 0'", "#unroll NAME FROM TO"),
        ("a\nb$NO", "line 2 'b$NO'", "'NO' is not"),
        ("a\nb$(1", "line 2 'b$(1'", "unbalanced"),
        ("a\n#import lib/none.wgsl", "line 2 '#import lib/none.wgsl'", "no 'lib/none' in shaders/"),
        ("\n#import part", "shader t, file part, line 2 '#if NO'", "'NO' is not"),
    ] {
        let error = refused(text);
        assert!(error.starts_with("shader t") && error.contains(place) && error.contains(message), "{text}: {error}");
    }
    // What is left out must be whole all the same.
    assert!(refused("#if !ON\n#if ON\n#else\n#else\n#endif\n#endif").contains("line 4"));
}

/// However it is spaced; a name that has the word in it, and other variables, stay.
#[test]
fn immediates_become_a_uniform_buffer() {
    let text = "struct Immediates { a: u32 } // immediate\nvar <immediate >im: Immediates;\nvar<workgroup> w: u32;";
    let expected = "struct Immediates { a: u32 } // immediate\n@group(0) @binding(7) var<uniform>im: Immediates;\nvar<workgroup> w: u32;";
    assert_eq!(in_uniform_buffer(text, 7), expected);
    assert_eq!(in_uniform_buffer("var<immediate> im: S;", 0), "@group(0) @binding(0) var<uniform> im: S;");
}
