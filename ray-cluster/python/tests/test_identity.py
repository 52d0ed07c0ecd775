"""The comparison of the two sides of a connection."""

import os
import tempfile
import unittest
from unittest import mock

import msgpack

from ray_rust import identity
from ray_rust.errors import ProgramError


class Identity(unittest.TestCase):
    def test_another_package_is_refused_with_both_sides(self) -> None:
        identity.check(identity.PACKAGE)
        self.assertIsNone(identity.differs(identity.PACKAGE))
        with self.assertRaises(ProgramError) as raised:
            identity.check(identity.PACKAGE ^ 1)
        for part in (f"{identity.PACKAGE:08x}", f"{identity.PACKAGE ^ 1:08x}", "pip uninstall ray-rust"):
            self.assertIn(part, str(raised.exception))

    def test_a_folder_that_no_driver_has_shipped(self) -> None:
        with self.assertRaises(ProgramError) as raised:
            identity.of_driver()
        self.assertIn("no driver has shipped", str(raised.exception))

    def test_another_program_is_refused_with_both_sides(self) -> None:
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(identity, "_FOLDER", folder):
            with open(os.path.join(folder, "identity"), "wb") as file:
                file.write(msgpack.packb({"build": 0xAB, "registry": 0xCD, "version": "0.1.0"}))
            identity.check_program("program", 0xAB, 0xCD)
            for build, registry, what in ((0xAC, 0xCD, "another file"), (0xAC, 0xCE, "other remote functions")):
                with self.assertRaises(ProgramError) as raised:
                    identity.check_program("program", build, registry)
                for part in (what, f"{build:08x}", f"{0xAB:08x}", f"{0xCD:08x}", "start the driver again"):
                    self.assertIn(part, str(raised.exception))
