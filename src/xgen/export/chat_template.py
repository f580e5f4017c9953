"""A chat template of tokenizer/chat.py as Jinja, for programs that read a Hugging Face folder."""

import json

from xgen.tokenizer.chat import Template

JINJA = """\
{{%- if messages[0]['role'] == 'system' %}}
    {{%- set system = messages[0]['content'] %}}
    {{%- set turns = messages[1:] %}}
{{%- else %}}
    {{%- set system = {system} %}}
    {{%- set turns = messages %}}
{{%- endif %}}
{{%- for message in turns %}}
    {{%- if message['role'] != ('user', 'assistant')[loop.index0 % 2] %}}
        {{{{- raise_exception('user and assistant must take turns, the user first') }}}}
    {{%- elif message['role'] == 'assistant' %}}
        {{{{- {assistant} + ' ' + message['content'] + '<|endoftext|>' }}}}
    {{%- elif not loop.first %}}
        {{{{- {between} + {human} + ' ' + message['content'] }}}}
    {{%- elif system %}}
        {{{{- system + {after_system} + {human} + ' ' + message['content'] }}}}
    {{%- else %}}
        {{{{- {human} + ' ' + message['content'] }}}}
    {{%- endif %}}
{{%- endfor %}}
{{%- if add_generation_prompt %}}
    {{{{- {assistant} }}}}
{{%- endif -%}}
"""


def jinja(template: Template) -> str:
    """Write the template; its text has the ids that tokenizer/chat.py gives, where no message names a special token."""
    literals = {
        name: json.dumps(getattr(template, name))
        for name in ("system", "after_system", "human", "assistant", "between")
    }
    return JINJA.format(**literals)
