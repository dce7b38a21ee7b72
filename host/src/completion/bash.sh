# Completions of dbcc for bash, which asks dbcc itself.
_dbcc() {
    local rest=${COMP_LINE:0:COMP_POINT} words=() word blank i head
    for ((i = 0; i <= COMP_CWORD; i++)); do
        blank=${rest%%[![:blank:]]*}
        rest=${rest:${#blank}}
        word=${COMP_WORDS[i]}
        [[ $i -lt $COMP_CWORD ]] || word=$rest
        rest=${rest#"$word"}
        # Without a blank between them, they are one word that bash took apart.
        if [[ $i -eq 0 || -n $blank ]]; then
            words+=("$word")
        else
            words[-1]+=$word
        fi
    done
    # What is quoted was not taken apart.
    word=${words[-1]} head=
    if [[ $word == [\'\"]* ]]; then
        words[-1]=${word:1}
    elif [[ $word == *[:=]* && $COMP_WORDBREAKS == *:* ]]; then
        head=${word%"${word##*[:=]}"}
    fi
    mapfile -t COMPREPLY < <(_CLAP_IFS=$'\n' _CLAP_COMPLETE_INDEX=$((${#words[@]} - 1)) COMPLETE=bash dbcc -- "${words[@]}")
    COMPREPLY=("${COMPREPLY[@]#"$head"}")
    # More is to come behind these.
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} != *[:=/] ]] || compopt -o nospace
}
complete -o bashdefault -o nosort -F _dbcc dbcc
