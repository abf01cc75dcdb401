# Finds the source of CivetWeb 1.16 and sets CIVETWEB_SOURCE. First that applies:
#   1. -DCIVETWEB_SOURCE_DIR=… or the environment variable of that name: an unpacked source tree
#   2. vcpkg: what the overlay port native/vcpkg-ports/civetweb installs
#   3. Debian: build/get-civetweb.sh, into artifacts/civetweb
# The result is looked up anew at every configure (nothing but the user's own -D is cached).

set(CIVETWEB_SOURCE_DIR "" CACHE PATH "Unpacked source of CivetWeb 1.16; empty: vcpkg or Debian's source package")
option(CIVETWEB_ALLOW_UNPATCHED "Build even if fixes for known vulnerabilities are missing in the source" OFF)

if(CIVETWEB_SOURCE_DIR)
  set(CIVETWEB_SOURCE "${CIVETWEB_SOURCE_DIR}")
elseif(NOT "$ENV{CIVETWEB_SOURCE_DIR}" STREQUAL "")
  file(TO_CMAKE_PATH "$ENV{CIVETWEB_SOURCE_DIR}" CIVETWEB_SOURCE)
elseif(VCPKG_INSTALLED_DIR AND EXISTS "${VCPKG_INSTALLED_DIR}/${VCPKG_TARGET_TRIPLET}/share/civetweb/source")
  set(CIVETWEB_SOURCE "${VCPKG_INSTALLED_DIR}/${VCPKG_TARGET_TRIPLET}/share/civetweb/source")
else()
  set(CIVETWEB_SOURCE "${CMAKE_SOURCE_DIR}/artifacts/civetweb")
  find_program(_bash bash NO_CACHE)
  if(CMAKE_HOST_WIN32 OR NOT _bash)
    message(FATAL_ERROR "There is no CivetWeb source: set CIVETWEB_SOURCE_DIR to an unpacked CivetWeb 1.16, or use the preset 'vcpkg'.")
  endif()
  execute_process(COMMAND ${_bash} "${CMAKE_SOURCE_DIR}/build/get-civetweb.sh" "${CIVETWEB_SOURCE}"
    RESULT_VARIABLE _result OUTPUT_QUIET ERROR_VARIABLE _error)
  if(NOT _result EQUAL 0)
    string(STRIP "${_error}" _error)
    string(REGEX REPLACE "get-civetweb: (error: )?" "" _error "${_error}")
    message(FATAL_ERROR "${_error}")
  endif()
endif()
get_filename_component(CIVETWEB_SOURCE "${CIVETWEB_SOURCE}" ABSOLUTE BASE_DIR "${CMAKE_SOURCE_DIR}")

# --- the right version? The bound structs are those of 1.16 exactly ---
if(NOT EXISTS "${CIVETWEB_SOURCE}/include/civetweb.h" OR NOT EXISTS "${CIVETWEB_SOURCE}/src/civetweb.c")
  message(FATAL_ERROR "${CIVETWEB_SOURCE} holds no CivetWeb source (include/civetweb.h, src/civetweb.c): let CIVETWEB_SOURCE_DIR name an unpacked CivetWeb 1.16.")
endif()
file(STRINGS "${CIVETWEB_SOURCE}/include/civetweb.h" _version REGEX "^#define CIVETWEB_VERSION \"")
string(REGEX REPLACE ".*\"(.*)\".*" "\\1" _version "${_version}")
if(NOT _version STREQUAL "1.16")
  message(FATAL_ERROR "Found CivetWeb ${_version} in ${CIVETWEB_SOURCE}, but 1.16 is needed because other versions lay out their structs differently: let CIVETWEB_SOURCE_DIR name a 1.16 source.")
endif()

# --- the fixes? Looked for in the code, because Debian's patches and ours leave the version alone ---
# (build/get-civetweb.sh has the same two conditions.)
file(READ "${CIVETWEB_SOURCE}/src/civetweb.c" _code)
string(FIND "${_code}" "strcat(new_path, ri->query_string)" _unbounded)
file(STRINGS "${CIVETWEB_SOURCE}/src/handle_form.inl" _stops REGEX "abort_read|memchr\\(buf")
set(_missing "")
if(NOT _unbounded EQUAL -1)
  list(APPEND _missing "CVE-2025-55763 (cve-2025-55763.patch)")
endif()
if(NOT _stops)
  list(APPEND _missing "CVE-2025-9648 (cve-2025-9648.patch)")
endif()
if(_missing)
  list(JOIN _missing " and " _missing)
  if(CIVETWEB_ALLOW_UNPATCHED)
    message(WARNING "CivetWeb in ${CIVETWEB_SOURCE} is vulnerable to ${_missing}; CIVETWEB_ALLOW_UNPATCHED accepts it.")
  else()
    message(FATAL_ERROR "CivetWeb in ${CIVETWEB_SOURCE} is vulnerable to ${_missing}: apply those patches of native/vcpkg-ports/civetweb with patch -p1, or accept it with -DCIVETWEB_ALLOW_UNPATCHED=ON.")
  endif()
endif()

# A source that vanishes or is replaced is looked for again by the next build.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
  "${CIVETWEB_SOURCE}/include/civetweb.h" "${CIVETWEB_SOURCE}/src/civetweb.c" "${CIVETWEB_SOURCE}/src/handle_form.inl")
message(STATUS "CivetWeb ${_version}: ${CIVETWEB_SOURCE}")
unset(_code)
