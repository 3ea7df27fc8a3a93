"""A machine with CUDA as far as the loader sees: small C libraries in the places of NVIDIA's.

`Machine` is a virtual environment that holds what this one holds, but, in place of onnxruntime, a
GPU build: its files are the CPU build's, its build information and its CUDA library say CUDA 13.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

CARD = ("NVIDIA Test 9000", 9, 0, 80 << 30, "0000:1B:00.0")
ORT = importlib.metadata.version("onnxruntime")
CUDNN = (
    "graph",
    "ops",
    "cnn",
    "adv",
    "heuristic",
    "engines_precompiled",
    "engines_runtime_compiled",
)
CUDA = {
    "libcublasLt.so.13": "int cublasLtGetProperty(int k, int *v) { *v = 13 - 3 * k; return 0; }",
    "libcublas.so.13": "int cublasGetProperty(int k, int *v) { *v = 13 - 3 * k; return 0; }",
    "libcurand.so.10": "int curandGetProperty(int k, int *v) { *v = 10 + k; return 0; }",
    "libcudart.so.13": "int cudaRuntimeGetVersion(int *v) { *v = 13020; return 0; }",
    "libcufft.so.12": "int cufftGetProperty(int k, int *v) { *v = 12; return 0; }",
    "libnvrtc.so.13": "int nvrtcVersion(int *a, int *b) { *a = 13; *b = 2; return 0; }",
}
WHEELS = {
    "nvidia-cublas": "cublas",
    "nvidia-cuda-runtime": "cudart",
    "nvidia-curand": "curand",
    "nvidia-cufft": "cufft",
    "nvidia-cuda-nvrtc": "nvrtc",
}


def compile_library(folder: Path, name: str, source: str, needs: Iterable[Path] = ()) -> Path:
    """A shared library of this soname; it links to ``needs`` whether it calls them or not."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    command = ["gcc", "-shared", "-fPIC", "-w", "-x", "c", "-", f"-Wl,-soname,{name}", "-o", path]
    links = ["-x", "none", "-Wl,--no-as-needed", *needs] if needs else []
    subprocess.run([*map(str, command), *map(str, links)], input=source.encode(), check=True)
    return path


def compile_driver(
    folder: Path,
    *,
    init: int = 0,
    version: int = 13000,
    cards: Sequence[tuple[str, int, int, int, str]] = (CARD,),
    start: str = "",
) -> None:
    """``libcuda.so.1``: ``cuInit`` runs ``start`` and answers ``init``."""

    def column(i: int, quote: str = "") -> str:
        return ", ".join(f"{quote}{card[i]}{quote}" for card in cards) or "0"

    compile_library(
        folder,
        "libcuda.so.1",
        f"""
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #define COPY(to, n, from) (strncpy(to, from, n), 0)
        static const char *names[] = {{{column(0, '"')}}}, *buses[] = {{{column(4, '"')}}};
        static const int majors[] = {{{column(1)}}}, minors[] = {{{column(2)}}};
        static const unsigned long long sizes[] = {{{column(3)}}};
        int cuInit(unsigned flags) {{
            const char *visible = getenv("CUDA_VISIBLE_DEVICES");
            {start};
            if (visible && !*visible) return 100;
            return {init};
        }}
        int cuDriverGetVersion(int *v) {{ *v = {version}; return 0; }}
        int cuDeviceGetCount(int *n) {{ *n = {len(cards)}; return 0; }}
        int cuDeviceGet(int *device, int i) {{
            if (i >= {len(cards)}) return 101;
            *device = i;
            return 0;
        }}
        int cuDeviceGetName(char *to, int n, int d) {{ return COPY(to, n, names[d]); }}
        int cuDeviceTotalMem_v2(size_t *n, int d) {{ *n = sizes[d]; return 0; }}
        int cuDeviceGetAttribute(int *v, int what, int d) {{
            *v = what == 75 ? majors[d] : what == 76 ? minors[d] : -1;
            return 0;
        }}
        int cuDeviceGetPCIBusId(char *to, int n, int d) {{ return COPY(to, n, buses[d]); }}
        """,
    )


def compile_management(folder: Path, *, init: int = 0, counter: bool = True) -> None:
    """``libnvidia-ml.so.1`` with two cards in an order of its own: card 1 is CUDA's 0.

    Every reading of card 1's energy is 5 J above the last (or not supported), of its utilisation
    40 and 60 % in turn; it draws 250 W and holds 3 GiB of 80.
    """
    compile_library(
        folder,
        "libnvidia-ml.so.1",
        f"""
        #include <string.h>
        typedef struct {{ int card; }} *device;
        static int cards[2] = {{0, 1}};
        static const char *names[] = {{"NVIDIA Other", "{CARD[0]}"}};
        static const char *buses[] = {{"0000:AF:00.0", "{CARD[4]}"}};
        int nvmlInitWithFlags(unsigned flags) {{ return {init}; }}
        int nvmlShutdown(void) {{ return 0; }}
        int nvmlSystemGetDriverVersion(char *to, unsigned n) {{
            strncpy(to, "580.1.2", n);
            return 0;
        }}
        int nvmlDeviceGetCount_v2(unsigned *n) {{ *n = 2; return 0; }}
        int nvmlDeviceGetHandleByIndex_v2(unsigned i, device *d) {{
            if (i > 1) return 2;
            *d = (device)&cards[i];
            return 0;
        }}
        int nvmlDeviceGetHandleByPciBusId_v2(const char *bus, device *d) {{
            for (int i = 0; i < 2; ++i)
                if (!strcmp(bus, buses[i])) return nvmlDeviceGetHandleByIndex_v2(i, d);
            return 6;
        }}
        int nvmlDeviceGetName(device d, char *to, unsigned n) {{
            strncpy(to, names[d->card], n);
            return 0;
        }}
        int nvmlDeviceGetMemoryInfo(device d, unsigned long long *m) {{
            m[0] = 80ull << 30;
            m[2] = d->card ? 3ull << 30 : 0;
            m[1] = m[0] - m[2];
            return 0;
        }}
        int nvmlDeviceGetUtilizationRates(device d, unsigned *u) {{
            static int turn;
            u[0] = d->card ? (turn++ % 2 ? 60 : 40) : 0;
            u[1] = 0;
            return 0;
        }}
        int nvmlDeviceGetPowerUsage(device d, unsigned *mw) {{
            *mw = d->card ? 250000 : 0;
            return 0;
        }}
        int nvmlDeviceGetTotalEnergyConsumption(device d, unsigned long long *mj) {{
            static unsigned long long joules = 1000;
            if (!{int(counter)}) return 3;
            *mj = d->card ? (joules += 5) * 1000 : 0;
            return 0;
        }}
        """,
    )


def compile_cuda(folder: Path) -> None:
    """NVIDIA's wheels of CUDA and cuDNN, and onnxruntime's CUDA library, which links to them."""
    place = folder / "nvidia" / "cu13" / "lib"
    built = [compile_library(place, name, source) for name, source in CUDA.items()]
    cudnn = folder / "nvidia" / "cudnn" / "lib"
    version = "unsigned long cudnnGetVersion(void) { return 91203; }"
    compile_library(cudnn, "libcudnn.so.9", version)
    for part in CUDNN:
        compile_library(cudnn, f"libcudnn_{part}.so.9", "")
    compile_driver(folder)
    linked = [path for path in built if "cufft" not in path.name and "nvrtc" not in path.name]
    compile_library(
        folder,
        "libonnxruntime_providers_cuda.so",
        "int one(void) { return 1; }",
        needs=[*linked, folder / "libcuda.so.1"],
    )


class Machine:
    """An environment with a GPU build and NVIDIA's wheels, and a folder of driver libraries."""

    def __init__(self, folder: Path, libraries: Path) -> None:
        """``libraries`` is a folder that `compile_cuda` filled."""
        self.folder = folder
        self.driver = folder / "driver"
        self.driver.mkdir(parents=True)
        venv.create(folder / "env", symlinks=True)
        self.python = folder / "env" / "bin" / "python"
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        self.site = folder / "env" / "lib" / version / "site-packages"
        self._link_packages()
        self._install_onnxruntime(libraries)
        self._install_nvidia(libraries)

    def _link_packages(self) -> None:
        """All that is installed, but what this machine has of its own."""
        own = ("onnxruntime", "nvidia", "torch", "triton", "__pycache__")
        for place in sys.path:
            if Path(place).name not in ("site-packages", "dist-packages"):
                continue
            for entry in Path(place).iterdir():
                link = self.site / entry.name
                path_file = entry.suffix == ".pth" and "seqtile" not in entry.name
                mine = entry.name.startswith(own) and not entry.name.startswith("nvidia_ml_py")
                if not mine and not path_file and not link.exists():
                    link.symlink_to(entry)

    def _install_onnxruntime(self, libraries: Path) -> None:
        import onnxruntime

        real = Path(onnxruntime.__file__).parent
        package = self.site / "onnxruntime"
        (package / "capi").mkdir(parents=True)
        for entry in [*real.iterdir(), *(real / "capi").iterdir()]:
            if entry.name not in ("capi", "__pycache__", "__init__.py"):
                (package / entry.relative_to(real)).symlink_to(entry)
        (package / "capi" / "__init__.py").write_text("")
        information = package / "capi" / "build_and_package_info.py"
        information.unlink()
        information.write_text(
            f"package_name = 'onnxruntime-gpu'\n__version__ = '{ORT}'\ncuda_version = '13.0'\n"
        )
        (package / "__init__.py").write_text(
            (real / "__init__.py").read_text()
            + "\n_real = get_available_providers\n"
            + "def get_available_providers():\n"
            + "    return ['CUDAExecutionProvider', *_real()]\n"
        )
        provider = package / "capi" / "libonnxruntime_providers_cuda.so"
        shutil.copy(libraries / provider.name, provider)
        self.add_distribution("onnxruntime-gpu", ORT, [provider])

    def _install_nvidia(self, libraries: Path) -> None:
        shutil.copytree(libraries / "nvidia", self.site / "nvidia")
        for name, stem in WHEELS.items():
            files = list((self.site / "nvidia" / "cu13" / "lib").glob(f"lib{stem}*"))
            self.add_distribution(name, "13.2.1", files)
        cudnn = list((self.site / "nvidia" / "cudnn" / "lib").iterdir())
        self.add_distribution("nvidia-cudnn-cu13", "9.12.3.4", cudnn)

    def add_distribution(self, name: str, version: str, files: list[Path]) -> None:
        """What pip knows of a wheel."""
        folder = self.site / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        lines = [f"{path.relative_to(self.site)},,{path.stat().st_size}\n" for path in files]
        (folder / "RECORD").write_text("".join(lines))

    def drop_distribution(self, name: str) -> None:
        """Forget a wheel, as pip does; its files stay."""
        (folder,) = self.site.glob(f"{name.replace('-', '_')}-*.dist-info")
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """``python ARGUMENTS`` there."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("CUDA_", "PYTHONPATH"))}
        return subprocess.run(
            [str(self.python), *arguments],
            capture_output=True,
            text=True,
            timeout=300,
            cwd=self.folder,
            env=clean | {"LD_LIBRARY_PATH": str(self.driver)} | environment,
        )

    def doctor(self, device: str, **environment: str) -> tuple[int, dict[str, Any]]:
        """Status and content of ``seqtile doctor --device DEVICE --json``."""
        result = self.run(
            "-m", "seqtile.cli", "doctor", "--device", device, "--json", **environment
        )
        assert result.stderr == ""
        return result.returncode, json.loads(result.stdout)
