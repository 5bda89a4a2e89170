"""The architectures that the series is built for, as data."""

from dataclasses import dataclass

from harness.packages import Need


@dataclass(frozen=True)
class Arch:
    """An architecture.

    Attributes:
        words: what the kernel's make is told.
        gcc: GNU's compiler for it.
        needs: what building for it takes, besides what every kernel needs.
        target: what is made to boot.
        image: where that lies in the output folder.
        qemu: the command and the machine that boots it, without KVM.
        console: the kernel's name for the serial port.
        boot_needs: what booting takes.
    """

    words: tuple[str, ...]
    gcc: str
    needs: tuple[Need, ...]
    target: str
    image: str
    qemu: tuple[str, ...]
    console: str
    boot_needs: tuple[Need, ...]


X86 = Arch(
    words=(),
    gcc="gcc",
    needs=(),
    target="bzImage",
    image="arch/x86/boot/bzImage",
    qemu=("qemu-system-x86_64", "-M", "q35", "-cpu", "max"),
    console="ttyS0",
    boot_needs=(Need("qemu-system-x86", command="qemu-system-x86_64"),),
)
ARM64 = Arch(
    words=("ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-"),
    gcc="aarch64-linux-gnu-gcc",
    needs=(Need("gcc-aarch64-linux-gnu", command="aarch64-linux-gnu-gcc"),),
    target="Image",
    image="arch/arm64/boot/Image",
    # Emulated pointer authentication is slow with the architecture's own algorithm.
    qemu=("qemu-system-aarch64", "-M", "virt", "-cpu", "max,pauth-impdef=on"),
    console="ttyAMA0",
    boot_needs=(
        Need("qemu-system-arm", command="qemu-system-aarch64"),
        Need("libc6-dev-arm64-cross", command="aarch64-linux-gnu-gcc"),
    ),
)
ARCHES = {"x86": X86, "arm64": ARM64}
