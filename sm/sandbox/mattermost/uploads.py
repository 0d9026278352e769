"""Files over REST: handing one in for a channel, and reading it back.

As observed with Mattermost 5.37: the channel comes before the file, and a file's name is kept with the escapes that
the client put into the form. Until a post takes it, only who handed it in may read a file.
"""

from __future__ import annotations

from aiohttp import BodyPartReader, web

from sm.sandbox.mattermost.files import File
from sm.sandbox.mattermost.rest import ApiError, answer, invalid_body, logged_in, no_permission, path_id
from sm.sandbox.mattermost.rows import User, new_id
from sm.sandbox.mattermost.shapes import Json
from sm.sandbox.mattermost.store import Store

MAX_FILE_BYTES = 50 << 20
MAX_FIELD_BYTES = 10 << 10


class Uploads:
    """The REST calls about files."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def routes(self) -> list[web.RouteDef]:
        """To be added under the API's prefix."""
        return [
            web.post("/files", self._upload),
            web.get("/files/{file_id}", self._content),
            web.get("/files/{file_id}/info", self._info),
        ]

    async def _upload(self, request: web.Request) -> web.Response:
        user = logged_in(request, self.store)
        if request.content_type != "multipart/form-data":
            raise invalid_body("files")
        channel_id, infos = "", list[Json]()
        reader = await request.multipart()
        while (part := await reader.next()) is not None:
            if not isinstance(part, BodyPartReader):
                raise invalid_body("files")
            if part.filename is not None:
                if not self.store.is_member(channel_id, user.id):
                    raise no_permission()
                infos.append((await self._taken(user, part, channel_id)).to_json())
            elif part.name == "channel_id":
                channel_id = (await part.read_chunk(MAX_FIELD_BYTES)).decode(errors="replace")
            else:
                raise invalid_body(str(part.name))
        return answer({"file_infos": infos, "client_ids": []}, 201)

    async def _taken(self, user: User, part: BodyPartReader, channel_id: str) -> File:
        content = bytearray()
        while chunk := await part.read_chunk():
            content += chunk
            if len(content) > MAX_FILE_BYTES:
                text = "Unable to upload file. File is too large."
                raise ApiError(413, "api.file.upload_file.too_large_detailed.app_error", text)
        name = str(part.filename).rpartition("/")[2]
        file = File(new_id(), user.id, channel_id, name, self.store.now_ms(), bytes(content))
        self.store.files[file.id] = file
        return file

    def _readable(self, request: web.Request) -> File:
        user = logged_in(request, self.store)
        file = self.store.files.get(path_id(request, "file_id"))
        if file is None:
            raise ApiError(404, "app.file_info.get.app_error", "Unable to get the file info.")
        if file.user_id != user.id and not (file.post_id and self.store.is_member(file.channel_id, user.id)):
            raise no_permission()
        return file

    async def _content(self, request: web.Request) -> web.Response:
        file = self._readable(request)
        headers = {
            "Content-Type": file.mime_type,
            "Content-Disposition": f"attachment;filename=\"{file.name}\"; filename*=UTF-8''{file.name}",
            "X-Content-Type-Options": "nosniff",
        }
        return web.Response(body=file.content, headers=headers)

    async def _info(self, request: web.Request) -> web.Response:
        return answer(self._readable(request).to_json())
