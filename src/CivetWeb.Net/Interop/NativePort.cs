namespace CivetWeb.Net.Interop;

/// <summary>A TCP port that a server listens on (<c>struct mg_server_port</c>).</summary>
internal readonly record struct NativePort(int Port, bool IsTls, bool IsRedirect);
