namespace CivetWeb.Net.Interop;

/// <summary>Why <c>mg_start2</c> has started nothing (<c>struct mg_error_data</c>).</summary>
internal readonly record struct NativeStartFailure(mg_error_data_code Code, string Text);
