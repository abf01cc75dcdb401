using System;

namespace CivetWeb.Net.Interop;

/// <summary>The callbacks that CivetWeb is given only when somebody wants them: it does less without.</summary>
[Flags]
internal enum NativeCallbacks
{
    None = 0,
    EndRequest = 1,
    LogAccess = 2,
    InitThread = 4,
    ExitThread = 8,
    ConnectionClosed = 16,
    InitSsl = 32,
}
