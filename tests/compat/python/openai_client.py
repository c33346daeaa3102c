"""OpenAI's Python client against the server at COMPAT_URL."""

import json
import os

import openai

BASE = os.environ["COMPAT_URL"]
CHAT = [{"role": "system", "content": "Talk like a pirate."}, {"role": "user", "content": "What is the capital of France?"}]
client = openai.OpenAI(base_url=BASE + "/v1", api_key="none", max_retries=0)
request = dict(model="mini", messages=CHAT, temperature=0, max_tokens=48)

whole = client.chat.completions.create(**request)
assert "Paris" in whole.choices[0].message.content, whole
text = "".join(p.choices[0].delta.content or "" for p in client.chat.completions.create(**request, stream=True) if p.choices)
assert text == whole.choices[0].message.content, text
print("ok chat and stream")

schema = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 12}}, "required": ["city"], "additionalProperties": False}
form = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}}
r = client.chat.completions.create(**{**request, "max_tokens": 200}, response_format=form)
assert isinstance(json.loads(r.choices[0].message.content)["city"], str), r
print("ok schema")

tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"enum": ["Paris"]}}, "required": ["city"]}}}]
r = client.chat.completions.create(**{**request, "max_tokens": 200}, tools=tools, tool_choice="required")
assert json.loads(r.choices[0].message.tool_calls[0].function.arguments) == {"city": "Paris"}, r
print("ok tools")

assert len(client.embeddings.create(model="mini", input=["a", "b"]).data) == 2
print("ok embeddings")

for bad, kind in (({"model": "no-such-model"}, openai.NotFoundError), ({"temperature": -1}, openai.BadRequestError)):
    try:
        client.chat.completions.create(**{**request, **bad})
    except kind:
        continue
    raise AssertionError(f"{bad}: want {kind}")
print("ok errors")
