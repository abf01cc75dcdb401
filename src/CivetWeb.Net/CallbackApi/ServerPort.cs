namespace CivetWeb.Net.CallbackApi;

/// <summary>A TCP port the server listens on (<c>struct mg_server_port</c>).</summary>
/// <param name="Port">The port number, the one chosen by the system when 0 was asked for.</param>
/// <param name="IsTls">Whether the port uses TLS.</param>
/// <param name="IsRedirect">Whether the port redirects to a TLS port.</param>
public readonly record struct ServerPort(int Port, bool IsTls, bool IsRedirect);
