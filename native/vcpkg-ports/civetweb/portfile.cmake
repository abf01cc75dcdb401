# Installs CivetWeb's source, not a library: libcivetweb_net compiles it together with its extension.
# The stock port (1.16#2) has neither of the two fixes.
vcpkg_from_github(
    OUT_SOURCE_PATH SOURCE_PATH
    REPO civetweb/civetweb
    REF v1.16
    SHA512 a0b943dfc76d7fd47f5a7d2c834fd38ddd4cf01a11730cf2f7cfaf32fea9698f59672f3a0f86ac80e0abc315d94d2367a500d37013f305c87d45e84cf39ca816
    HEAD_REF master
    PATCHES
        cve-2025-55763.patch
        cve-2025-9648.patch
)

set(VCPKG_BUILD_TYPE release)                        # nothing is built, so there is no debug flavour
set(VCPKG_FIXUP_ELF_RPATH OFF)                       # no ELF file is installed, so patchelf is not needed
file(REMOVE_RECURSE "${SOURCE_PATH}/src/third_party") # Lua, Duktape, SQLite: not compiled
set(VCPKG_POLICY_EMPTY_INCLUDE_FOLDER enabled)       # the header stays with its source
file(INSTALL "${SOURCE_PATH}/include" "${SOURCE_PATH}/src" DESTINATION "${CURRENT_PACKAGES_DIR}/share/${PORT}/source")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE.md")
