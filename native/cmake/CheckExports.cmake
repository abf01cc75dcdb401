# Test: the library exports exactly the mg_ functions that are bound, and otherwise only cwn_ functions.
#   cmake -DNM=nm -DLIBRARY=… -DBINDINGS=NativeMethods.g.cs -P CheckExports.cmake
execute_process(COMMAND ${NM} -D --defined-only ${LIBRARY} OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL " [A-Za-z] [A-Za-z_][A-Za-z0-9_]*" symbols "${symbols}")
list(TRANSFORM symbols REPLACE "^ [A-Za-z] " "")
list(FILTER symbols EXCLUDE REGEX "^cwn_")

file(STRINGS ${BINDINGS} bound REGEX "static extern .* mg_[a-z0-9_]+\\(")
list(TRANSFORM bound REPLACE ".* (mg_[a-z0-9_]+)\\(\\[?.*" "\\1")
list(LENGTH bound count)
if(count EQUAL 0)
  message(FATAL_ERROR "No bound function found in ${BINDINGS}.")
endif()

set(missing ${bound})
set(surplus ${symbols})
list(REMOVE_ITEM missing ${symbols})
list(REMOVE_ITEM surplus ${bound})
if(missing OR surplus)
  message(FATAL_ERROR "native/exports.map and generated/NativeMethods.g.cs differ. Bound, not exported: [${missing}]. Exported, not bound: [${surplus}].")
endif()
message(STATUS "${count} bound functions exported, nothing else but cwn_*")
