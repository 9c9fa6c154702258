"""Images, label maps and stacks for the viewer: decoded once in the sandbox, then cut into tiles.

`decoding` reads a file in the sandbox and leaves its plain values; `decoders` keeps processes ready
for that; `planes` keeps the values for a while and hands them out; `tiles` makes PNGs of them;
`views` says what a result has to be looked at. The pages' side is `static/viewer.js`.
"""
