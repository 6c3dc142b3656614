"""Completions of the command line for shells, made of what stands in usage.py."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .usage import FILE, HEADER, Option, all_options


def completion(shell: str) -> str:
    """What the shell, one of SHELLS, has to read."""
    return {'bash': _bash, 'zsh': _zsh, 'fish': _fish}[shell]()


def _quoted(text: str) -> str:
    """For bash and zsh."""
    return "'" + text.replace("'", "'\\''") + "'"


# -- bash -------------------------------------------------------------------------------------------------------------

# A value may follow as a word of its own, or behind '=', which bash takes for a word, too. It takes '@' for another,
# and yet has it replaced together with what follows.
_BASH = """\
_wscat_header() {{
    local line
    [[ $1 == @* || ${{COMP_WORDS[COMP_CWORD-1]}} == @ ]] || return
    while IFS= read -r line; do COMPREPLY+=("@$line"); done < <(compgen -f -- "${{1#@}}")
}}

_wscat() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} option=${{COMP_WORDS[COMP_CWORD-1]}} line
    [[ $word == = ]] && word=
    [[ $option == [=@] ]] && option=${{COMP_WORDS[COMP_CWORD-2]}}
    COMPREPLY=()
    case $option in
{cases}
    esac
    [[ $word == -* ]] || return
    while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -W {names} -- "$word")
}}
complete -F _wscat wscat
"""

_BASH_ACTIONS = {
    'FILE': 'compopt -o default 2>/dev/null; return',
    'HEADER': '_wscat_header "$word"; return',
}


def _bash() -> str:
    cases: dict[str, list[str]] = {}
    for option in all_options():
        if option.value and not option.optional:
            cases.setdefault(_bash_action(option), []).extend(option.flags)
    return _BASH.format(
        cases='\n'.join(f'        {"|".join(flags)}) {action};;' for action, flags in cases.items()),
        names=_quoted(' '.join(flag for option in all_options() for flag in option.flags)),
    )


def _bash_action(option: Option) -> str:
    if option.completed in (FILE, HEADER):
        return _BASH_ACTIONS[option.completed[0]]
    if option.completed:
        words = _quoted(' '.join(option.completed))
        return f'while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -W {words} -- "$word"); return'
    return 'return'


# -- zsh --------------------------------------------------------------------------------------------------------------

# The file can be read by the shell, or lie in its $fpath.
_ZSH = """\
#compdef wscat

_wscat_header() {{
    if compset -P @; then _files; else _message 'NAME:VALUE or @FILE'; fi
}}

_wscat() {{
    _arguments -s -S \\
{specifications}
}}

if [[ $funcstack[1] == _wscat ]]; then _wscat "$@"; else compdef _wscat wscat; fi
"""


# Beside a message that says what is expected, zsh would not complete options at once.
_ZSH_URL = """'::URL: _guard "^-*" URL'"""


def _zsh() -> str:
    lines = [*(_zsh_specification(option) for option in all_options()), _ZSH_URL]
    return _ZSH.format(specifications=' \\\n'.join(f'        {line}' for line in lines))


def _zsh_specification(option: Option) -> str:
    explanation = _quoted(f'[{_escaped(option.brief, "[]:")}]{_zsh_value(option)}')
    flags = option.flags
    if option.value and not option.optional:  # it may follow in the same word
        flags = [flag + ('+' if len(flag) == 2 else '=') for flag in flags]
    if len(flags) == 1:
        return f'{flags[0]}{explanation}'
    # '*': it may come again; '(…)': none of these comes any more.
    before = '*' if option.repeated else f'({" ".join(option.flags)})'
    return f'{_quoted(before)}{{{",".join(flags)}}}{explanation}'


def _zsh_value(option: Option) -> str:
    if not option.value:
        return ''
    colons = '::' if option.optional else ':'
    return f'{colons}{_escaped(option.value, "[]:")}:{_zsh_action(option.completed)}'


def _zsh_action(completed: Sequence[str]) -> str:
    if completed is FILE:
        return '_files'
    if completed is HEADER:
        return '_wscat_header'
    return f'({" ".join(completed)})' if completed else ''


def _escaped(text: str, characters: Iterable[str]) -> str:
    for character in characters:
        text = text.replace(character, f'\\{character}')
    return text


# -- fish -------------------------------------------------------------------------------------------------------------

_FISH = """\
function __wscat_header
    set -l word (commandline -ct)
    string match -q '@*' -- $word
    and printf '@%s\\n' (__fish_complete_path (string sub -s 2 -- $word))
end

complete -c wscat -f
"""


def _fish() -> str:
    return _FISH + ''.join(f'{_fish_command(option)}\n' for option in all_options())


def _fish_command(option: Option) -> str:
    words = ['complete -c wscat']
    words += [f'-s {flag[1:]}' if len(flag) == 2 else f'-l {flag[2:]}' for flag in option.flags]
    if option.value and not option.optional:
        words.append(_fish_value(option.completed))
    words.append('-d ' + _fish_quoted(option.brief))
    return ' '.join(words)


def _fish_value(completed: Sequence[str]) -> str:
    if completed is FILE:
        return '-r -F'
    if completed is HEADER:
        return "-x -a '(__wscat_header)'"
    return '-x -a ' + _fish_quoted(' '.join(completed)) if completed else '-x'


def _fish_quoted(text: str) -> str:
    return "'" + _escaped(text, "\\'") + "'"
