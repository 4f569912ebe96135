"""What the foreign CSMSs share: one JSON object a line on stdin (orders) and stdout (what happened).

Orders: {"call": action, "cp": id, "payload": {...}, "n": number}, {"reach": "up"|"refuse"}, {"token": t, "verdict": v}.
Said:   {"ready": port}, {"opened": cp, ...}, {"closed": cp}, {"call": action, "cp": ..., "payload": ..., "answer": ...},
        {"answered": n, "payload": ...} or {"answered": n, "error": code}, {"violation": text, "cp": ...}.
End of stdin ends the program.
"""

import asyncio
import json
import sys
import traceback


class Rig:
    def __init__(self, command):
        self.command = command

    def say(self, **what):
        sys.stdout.write(json.dumps(what) + "\n")
        sys.stdout.flush()

    def violation(self, cp, text):
        self.say(violation=text, cp=cp)

    async def run(self):
        reader = asyncio.StreamReader(limit=1 << 20)
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            try:
                await self.command(json.loads(line))
            except Exception:  # the test must see it, whatever it is
                traceback.print_exc()
                self.say(violation=traceback.format_exc(), cp="rig")
